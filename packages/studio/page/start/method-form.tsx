/** Model and method, with the method's own options. */
import type { FormParts } from '../../src/api-types.js';
import { TypedInput } from '../parts/typed-input.js';
import { MODEL, type Draft } from './draft.js';
import { SettingField } from './setting-field.js';

interface MethodFormProps {
  readonly form: FormParts;
  readonly draft: Draft;
  /** The model that is taken where none is named. */
  readonly defaultModel: string;
  readonly onChange: (change: Partial<Draft>) => void;
}

export function MethodForm({ form, draft, defaultModel, onChange }: MethodFormProps) {
  const method = form.methods.find(({ name }) => name === draft.method);
  const setModel = (model: string): void => {
    const { [MODEL]: _, ...rest } = draft.hyperparameters;
    onChange({ hyperparameters: model === '' ? rest : { ...rest, [MODEL]: model } });
  };
  return (
    <fieldset>
      <legend>Model and method</legend>
      <div class="fields">
        <div class="field double">
          <label for="model">Base model</label>
          <TypedInput
            id="model"
            list="models"
            value={String(draft.hyperparameters[MODEL] ?? '')}
            placeholder={defaultModel}
            aria-describedby="model-help"
            onTyped={(text) => setModel(text.trim())}
          />
          <datalist id="models">
            {form.models.map((model) => (
              <option key={model} value={model} />
            ))}
          </datalist>
          <p id="model-help" class="help">
            A folder, a GGUF file, or a name on the hub, which is downloaded once.
          </p>
        </div>
        <div class="field">
          <label for="method">Method</label>
          <select
            id="method"
            value={draft.method}
            aria-describedby="method-help"
            onChange={({ currentTarget }) =>
              onChange({ method: currentTarget.value, methodOptions: {} })
            }
          >
            {form.methods.map(({ name }) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
          <p id="method-help" class="help">
            {method?.formula}
          </p>
        </div>
      </div>
      {method && method.options.length > 0 && (
        <details>
          <summary>Options of {method.name}</summary>
          <div class="fields">
            {method.options.map((option) => (
              <SettingField
                key={`${method.name}-${option.name}`}
                name={`method-${option.name}`}
                title={option.name}
                schema={{}}
                value={draft.methodOptions[option.name]}
                fallback={option.default}
                onChange={(value) => {
                  const { [option.name]: _, ...rest } = draft.methodOptions;
                  onChange({
                    methodOptions: value === undefined ? rest : { ...rest, [option.name]: value },
                  });
                }}
              />
            ))}
          </div>
        </details>
      )}
    </fieldset>
  );
}
