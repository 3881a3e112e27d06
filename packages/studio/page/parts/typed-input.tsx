/** A field whose text counts once it is left: answers that come in meanwhile leave it as it is. */
import { useState } from 'preact/hooks';

interface TypedInputProps {
  readonly id: string;
  /** What is shown while nothing is typed. */
  readonly value: string;
  readonly placeholder: string;
  readonly list?: string;
  readonly 'aria-describedby'?: string | undefined;
  /** What was typed, when the field is left or Enter is pressed. */
  readonly onTyped: (text: string) => void;
}

export function TypedInput({ value, onTyped, ...rest }: TypedInputProps) {
  const [text, setText] = useState<string>();
  return (
    <input
      {...rest}
      type="text"
      autocomplete="off"
      spellcheck={false}
      // a page that is drawn again sets a field to its value, also while it is typed into
      value={text ?? value}
      onInput={({ currentTarget }) => setText(currentTarget.value)}
      onChange={({ currentTarget }) => {
        setText(undefined);
        onTyped(currentTarget.value);
      }}
      onBlur={() => setText(undefined)}
    />
  );
}
