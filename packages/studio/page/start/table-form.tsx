/** The table, and what of it is learnt. */
import type { TablePreview } from '../../src/api-types.js';
import { TypedInput } from '../parts/typed-input.js';
import { wholeNumber } from '../state/format.js';
import type { Draft } from './draft.js';

interface TableFormProps {
  readonly table: TablePreview;
  readonly tasks: readonly string[];
  readonly tables: readonly string[];
  readonly draft: Draft;
  readonly onChange: (change: Partial<Draft>) => void;
  readonly onOther: () => void;
}

/** Tasks that predict a column. */
const LABELLED = ['', 'classification', 'regression', 'multi-label-classification'];

export function TableForm({ table, tasks, tables, draft, onChange, onOther }: TableFormProps) {
  const isLabelled = LABELLED.includes(draft.task ?? '');
  const others = tables.filter((path) => path !== table.path);
  return (
    <>
      <div class="row between">
        <p>
          <strong>{table.name}</strong>{' '}
          <span class="quiet">
            {wholeNumber(table.rows)} rows, {table.columns.length}{' '}
            {table.columns.length === 1 ? 'column' : 'columns'}
          </span>
        </p>
        <button type="button" class="small" onClick={onOther}>
          Another table
        </button>
      </div>
      <div class="wide" tabIndex={0} role="region" aria-label="First rows">
        <table class="rows">
          <thead>
            <tr>
              {table.columns.map(({ name }) => (
                <th key={name} scope="col">
                  {name}
                  <span class="quiet role"> {roleOf(name, draft, table)}</span>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {table.head.map((cells, row) => (
              <tr key={row}>
                {cells.map((cell, at) => (
                  <td key={at}>{cell}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <div class="fields">
        <div class="field">
          <label for="task">Task</label>
          <select
            id="task"
            value={draft.task ?? ''}
            onChange={({ currentTarget }) =>
              onChange({
                task: currentTarget.value || undefined,
                label: LABELLED.includes(currentTarget.value) ? draft.label : undefined,
              })
            }
          >
            <option value="">by the labels</option>
            {tasks.map((task) => (
              <option key={task} value={task}>
                {task}
              </option>
            ))}
          </select>
        </div>
        {isLabelled && (
          <div class="field">
            <label for="label">Column to predict</label>
            <select
              id="label"
              value={draft.label ?? ''}
              onChange={({ currentTarget }) =>
                onChange({ label: currentTarget.value || undefined })
              }
            >
              <option value="">choose one</option>
              {table.columns.map(({ name, distinct }) => (
                <option key={name} value={name}>
                  {`${name} (${wholeNumber(distinct)} values)`}
                </option>
              ))}
            </select>
          </div>
        )}
        {learnsSeveral(draft) && (
          <div class="field">
            <label for="task-ids">Column that says which task a row is of</label>
            <select
              id="task-ids"
              value={draft.taskIdColumn ?? ''}
              onChange={({ currentTarget }) =>
                onChange({ taskIdColumn: currentTarget.value || undefined })
              }
            >
              <option value="">choose one</option>
              {table.columns.map(({ name }) => (
                <option key={name} value={name}>
                  {name}
                </option>
              ))}
            </select>
          </div>
        )}
        <div class="field">
          <label for="columns">Column names</label>
          <TypedInput
            id="columns"
            value={draft.columns?.join(', ') ?? ''}
            placeholder="as in the file"
            aria-describedby="columns-help"
            onTyped={(text) => onChange(renamed(text, table, draft))}
          />
          <p id="columns-help" class="help">
            For a file without a header: label, text
          </p>
        </div>
        {others.length > 0 && (
          <div class="field">
            <label for="tune">Validation table</label>
            <select
              id="tune"
              value={draft.tune ?? ''}
              onChange={({ currentTarget }) => onChange({ tune: currentTarget.value || undefined })}
            >
              <option value="">a part of this one</option>
              {others.map((path) => (
                <option key={path} value={path}>
                  {path.split(/[\\/]/).at(-1)}
                </option>
              ))}
            </select>
          </div>
        )}
      </div>
    </>
  );
}

/** Whether rows must say their task. */
const learnsSeveral = ({ methodOptions, taskIdColumn }: Draft): boolean =>
  taskIdColumn !== undefined || Number(methodOptions['tasks'] ?? 1) > 1;

/** The label keeps its place when columns get other names. */
function renamed(text: string, table: TablePreview, { label }: Draft): Partial<Draft> {
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const at = table.columns.findIndex(({ name }) => name === label);
  return { columns: names.length > 0 ? names : undefined, label: at < 0 ? label : names[at] };
}

function roleOf(name: string, draft: Draft, table: TablePreview): string {
  if (name === draft.label) return 'label';
  if (name === draft.taskIdColumn) return 'task';
  const column = table.columns.find((each) => each.name === name);
  return column?.type === 'null' ? 'one value' : (column?.type ?? '');
}
