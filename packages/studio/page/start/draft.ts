/** What is about to be started, as the form holds it. */

export interface Draft {
  /** The run's folder. */
  readonly name: string;
  /** Paths of tables. */
  readonly train?: string;
  readonly tune?: string;
  readonly test?: readonly string[];
  /** Names of the columns of a file without a header. */
  readonly columns?: readonly string[];
  readonly task?: string;
  readonly label?: string;
  /** Column of which task a row is of, for methods that learn several. */
  readonly taskIdColumn?: string;
  readonly method: string;
  readonly methodOptions: Readonly<Record<string, unknown>>;
  /** By dotted key; what is not there is as by default. */
  readonly hyperparameters: Readonly<Record<string, unknown>>;
  /** Further options that a run was started with, as they were. */
  readonly others: Readonly<Record<string, unknown>>;
}

export const MODEL = 'model.hf_text.checkpoint_name';

export const EMPTY_DRAFT: Draft = {
  name: '',
  method: 'lora',
  methodOptions: {},
  hyperparameters: {},
  others: {},
};

/** The keys of a run file. */
export function requestOf(draft: Draft): Readonly<Record<string, unknown>> {
  const { name: _, others, hyperparameters, ...own } = draft;
  const { [MODEL]: model, ...settings } = hyperparameters;
  const request = { ...others, ...own, model, hyperparameters: settings };
  return Object.fromEntries(Object.entries(request).filter(([, value]) => !isEmpty(value)));
}

/** Keys of a request that the form has fields for. */
const FIELDS: readonly string[] = [
  'train',
  'tune',
  'test',
  'columns',
  'task',
  'label',
  'taskIdColumn',
  'method',
  'methodOptions',
  'hyperparameters',
] satisfies readonly (keyof Draft)[];

/** The form for a run like another. */
export function draftOf(request: Readonly<Record<string, unknown>>): Draft {
  const entries = Object.entries(request);
  const isField = ([name]: readonly [string, unknown]): boolean => FIELDS.includes(name);
  return {
    ...EMPTY_DRAFT,
    method: '',
    ...Object.fromEntries(entries.filter(isField)),
    others: Object.fromEntries(entries.filter((entry) => !isField(entry))),
  };
}

const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === '' ||
  (typeof value === 'object' && value !== null && Object.keys(value).length === 0);

/** Every table that a request reads. */
export const tablesOf = ({ train, tune, test = [] }: Draft): string[] =>
  [train, tune, ...test].filter((path) => path !== undefined);
