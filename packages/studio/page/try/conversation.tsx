/** A conversation with several voices side by side: each hears its own answers. */
import { useState } from 'preact/hooks';
import { FailureNote } from '../parts/failure-note.js';
import { nameOf } from '../state/run-state.js';
import { streamedText } from './streamed-text.js';

interface Turn {
  readonly asked: string;
  /** By voice. */
  readonly answers: Readonly<Record<string, string>>;
}

interface ConversationProps {
  readonly voices: readonly string[];
  /** Else texts are continued. */
  readonly hasChatTemplate: boolean;
}

export function Conversation({ voices, hasChatTemplate }: ConversationProps) {
  const [turns, setTurns] = useState<readonly Turn[]>([]);
  const [text, setText] = useState('');
  const [seed, setSeed] = useState('1');
  const [temperature, setTemperature] = useState('0.7');
  const [tokens, setTokens] = useState('128');
  const [failure, setFailure] = useState<Error>();
  const [isBusy, setIsBusy] = useState(false);
  const ask = async (): Promise<void> => {
    const asked = text;
    const before = turns;
    setIsBusy(true);
    setFailure(undefined);
    setText('');
    setTurns([...before, { asked, answers: {} }]);
    const hear = (voice: string, piece: string): void =>
      setTurns((now) => [...now.slice(0, -1), withPiece(now.at(-1)!, voice, piece)]);
    const common = {
      seed: Number(seed),
      temperature: Number(temperature),
      max_tokens: Number(tokens),
    };
    try {
      await Promise.all(
        voices.map((voice) =>
          streamedText(
            hasChatTemplate
              ? { ...common, model: voice, messages: messagesOf(before, voice, asked) }
              : { ...common, model: voice, prompt: asked },
            (piece) => hear(voice, piece),
          ),
        ),
      );
    } catch (error) {
      setFailure(error as Error);
    } finally {
      setIsBusy(false);
    }
  };
  return (
    <>
      {!hasChatTemplate && (
        <p class="quiet">The model has no chat template: texts are continued.</p>
      )}
      <ol class="turns">
        {turns.map(({ asked, answers }, at) => (
          <li key={at}>
            <p class="asked">{asked}</p>
            <div class="answers">
              {voices.map((voice) => (
                <section key={voice} aria-label={nameOf(voice)}>
                  <h3>{nameOf(voice)}</h3>
                  <p class="answer">{answers[voice] ?? (isBusy ? '…' : '')}</p>
                </section>
              ))}
            </div>
          </li>
        ))}
      </ol>
      <FailureNote failure={failure} />
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void ask();
        }}
      >
        <div class="field">
          <label for="asked">{hasChatTemplate ? 'Say something' : 'Begin a text'}</label>
          <textarea
            id="asked"
            rows={3}
            value={text}
            onInput={({ currentTarget }) => setText(currentTarget.value)}
          />
        </div>
        <div class="fields">
          <NumberField name="Temperature" value={temperature} onChange={setTemperature} />
          <NumberField name="New tokens at most" value={tokens} onChange={setTokens} />
          <NumberField name="Seed of all" value={seed} onChange={setSeed} />
        </div>
        <p>
          <button type="submit" class="main" disabled={isBusy || text.trim() === ''}>
            Send
          </button>
        </p>
      </form>
    </>
  );
}

interface NumberFieldProps {
  readonly name: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
}

const NumberField = ({ name, value, onChange }: NumberFieldProps) => (
  <div class="field">
    <label>
      {name}
      <input
        inputMode="decimal"
        value={value}
        onInput={({ currentTarget }) => onChange(currentTarget.value)}
      />
    </label>
  </div>
);

const withPiece = (turn: Turn, voice: string, piece: string): Turn => ({
  ...turn,
  answers: { ...turn.answers, [voice]: (turn.answers[voice] ?? '') + piece },
});

/** What a voice has heard and said. */
const messagesOf = (turns: readonly Turn[], voice: string, asked: string): readonly object[] => [
  ...turns.flatMap((turn) => [
    { role: 'user', content: turn.asked },
    { role: 'assistant', content: turn.answers[voice] ?? '' },
  ]),
  { role: 'user', content: asked },
];
