/** The settings: the few that most runs change, and all of them. */
import { useState } from 'preact/hooks';
import type { FormParts, StartPreview } from '../../src/api-types.js';
import { SettingField } from './setting-field.js';
import { MODEL, type Draft } from './draft.js';

interface SettingsFormProps {
  readonly schemas: FormParts['settings'];
  readonly draft: Draft;
  readonly preview: StartPreview | undefined;
  readonly onChange: (hyperparameters: Draft['hyperparameters']) => void;
}

const MAIN: Readonly<Record<string, string>> = {
  'optim.max_epochs': 'Epochs',
  'optim.lr': 'Learning rate',
  'env.batch_size': 'Batch size',
  'model.hf_text.max_text_len': 'Tokens of a row at most',
  'env.per_gpu_batch_size': 'Rows at once',
  'env.seed': 'Seed',
};
/** Fields of their own elsewhere in the form. */
const ELSEWHERE = [MODEL, 'optim.peft'];

export function SettingsForm({ schemas, draft, preview, onChange }: SettingsFormProps) {
  const [search, setSearch] = useState('');
  const { hyperparameters } = draft;
  const field = (key: string, title: string) => (
    <SettingField
      key={key}
      name={key}
      title={title}
      schema={schemas[key]!}
      value={hyperparameters[key]}
      fallback={preview?.settings[key] ?? schemas[key]!.default}
      onChange={(value) => onChange(withValue(hyperparameters, key, value))}
    />
  );
  const others = Object.keys(schemas).filter((key) => !(key in MAIN) && !ELSEWHERE.includes(key));
  const found = others.filter((key) =>
    `${key} ${schemas[key]!.description ?? ''}`.toLowerCase().includes(search.toLowerCase()),
  );
  const given = others.filter((key) => hyperparameters[key] !== undefined).length;
  return (
    <fieldset>
      <legend>Settings</legend>
      <div class="fields">
        {Object.entries(MAIN)
          .filter(([key]) => key in schemas)
          .map(([key, title]) => field(key, title))}
      </div>
      <details>
        <summary>All settings{given > 0 && <span class="quiet"> ({given} changed)</span>}</summary>
        <input
          type="search"
          class="filter"
          placeholder={`Search ${others.length} settings`}
          aria-label="Search the settings"
          value={search}
          onInput={({ currentTarget }) => setSearch(currentTarget.value)}
        />
        <div class="fields">{found.map((key) => field(key, key))}</div>
      </details>
    </fieldset>
  );
}

/** Without the key where its default is to count. */
function withValue(
  values: Readonly<Record<string, unknown>>,
  key: string,
  value: unknown,
): Readonly<Record<string, unknown>> {
  const { [key]: _, ...rest } = values;
  return value === undefined ? rest : { ...rest, [key]: value };
}
