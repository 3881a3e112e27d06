/** A setting: a choice where its values can be counted, else a text. */
import type { SettingSchema } from '../../src/api-types.js';
import { TypedInput } from '../parts/typed-input.js';
import { valueText } from '../state/format.js';
import { choicesOf, typedValue } from './typed-value.js';

interface SettingFieldProps {
  readonly name: string;
  readonly title: string;
  readonly schema: SettingSchema;
  /** undefined: the default. */
  readonly value: unknown;
  /** What counts without a value, for this task. */
  readonly fallback: unknown;
  readonly onChange: (value: unknown) => void;
}

export function SettingField(props: SettingFieldProps) {
  const { name, title, schema, value, fallback, onChange } = props;
  const choices = choicesOf(schema);
  const id = `setting-${name}`;
  const help = schema.description === undefined ? undefined : `${id}-help`;
  return (
    <div class="field">
      <label for={id}>{title}</label>
      {choices ? (
        <select
          id={id}
          aria-describedby={help}
          value={value === undefined ? '' : valueText(value)}
          onChange={({ currentTarget }) =>
            onChange(choices.find((choice) => valueText(choice) === currentTarget.value))
          }
        >
          <option value="">{`${valueText(fallback)} (default)`}</option>
          {choices.map((choice) => (
            <option key={valueText(choice)} value={valueText(choice)}>
              {valueText(choice)}
            </option>
          ))}
        </select>
      ) : (
        <TypedInput
          id={id}
          aria-describedby={help}
          value={value === undefined ? '' : valueText(value)}
          placeholder={valueText(fallback)}
          onTyped={(text) => onChange(typedValue(text, schema))}
        />
      )}
      {help && (
        <p id={help} class="help">
          {schema.description}
        </p>
      )}
    </div>
  );
}
