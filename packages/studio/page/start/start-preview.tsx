/** What the run would do. */
import type { PreviewAnswer, StartPreview, TextPiece } from '../../src/api-types.js';
import { BarChart } from '../parts/bar-chart.js';
import { CopiedText } from '../parts/copied-text.js';
import { Spread } from '../parts/spread.js';
import { bytes, duration, percent, wholeNumber } from '../state/format.js';

/** Labels whose bars are shown. */
const SHOWN_LABELS = 12;

interface PreviewProps {
  readonly answer: PreviewAnswer | undefined;
  readonly isLooking: boolean;
}

export function Preview({ answer, isLooking }: PreviewProps) {
  const { preview, problem, commandLine, runFile } = answer ?? {};
  return (
    <section aria-label="What this run will do" aria-busy={isLooking}>
      <h2>What this run will do</h2>
      <p role="status" class="quiet">
        {isLooking ? 'Looking …' : ' '}
      </p>
      {problem && (
        <div class="note bad">
          <p>{problem.message}</p>
          {problem.hint && <p class="quiet">{problem.hint}</p>}
          <p class="code-name">{problem.code}</p>
        </div>
      )}
      {preview && <Facts preview={preview} />}
      {commandLine && (
        <details>
          <summary>The same as a command, or as a run file</summary>
          <CopiedText label="Command line" text={commandLine} />
          {runFile && <CopiedText label="run.yaml" text={runFile} />}
        </details>
      )}
    </section>
  );
}

function Facts({ preview }: { readonly preview: StartPreview }) {
  const { memory, time, labels, numbers, tokens, warnings } = preview;
  return (
    <>
      <dl class="tiles">
        <Fact name="Task" value={preview.task} />
        <Fact name="Rows to learn from" value={wholeNumber(preview.trainingRows)} />
        <Fact name="Held out to validate" value={wholeNumber(preview.validationRows)} />
        <Fact name="Steps" value={wholeNumber(preview.steps)} />
        <Fact name="Time" value={time ? timeText(time) : 'seen once it runs'} />
        {memory && (
          <Fact
            name="Parameters that train"
            value={`${wholeNumber(memory.trainableParameters)} (${percent(memory.trainableParameters / memory.parameters)})`}
          />
        )}
      </dl>
      {time && <p class="help">Time: {time.basis}.</p>}
      {memory && <Memory memory={memory} />}
      {labels && (
        <>
          <h3>Labels</h3>
          <BarChart
            label="Rows of each label"
            bars={labels
              .slice(0, SHOWN_LABELS)
              .map(({ label, rows }) => ({ name: label, value: rows }))}
          />
          {labels.length > SHOWN_LABELS && (
            <p class="quiet">and {labels.length - SHOWN_LABELS} more</p>
          )}
        </>
      )}
      {numbers && (
        <>
          <h3>Values to predict</h3>
          <Spread of={numbers} label="Values to predict" />
        </>
      )}
      <h3>Tokens of a row</h3>
      <Spread of={tokens} label="Tokens of a row" />
      {preview.examples.length > 0 && <Examples examples={preview.examples} />}
      {warnings.length > 0 && (
        <div class="note">
          {warnings.map(({ code, message, hint }) => (
            <p key={message}>
              {message} {hint && <span class="quiet">{hint}</span>}{' '}
              <span class="code-name">{code}</span>
            </p>
          ))}
        </div>
      )}
    </>
  );
}

const timeText = ({ seconds, isLeast }: NonNullable<StartPreview['time']>): string =>
  isLeast ? `${duration(seconds)} or more` : `about ${duration(seconds)}`;

const Fact = ({ name, value }: { readonly name: string; readonly value: string }) => (
  <div>
    <dt>{name}</dt>
    <dd>{value}</dd>
  </div>
);

function Memory({ memory }: { readonly memory: NonNullable<StartPreview['memory']> }) {
  const fits = memory.peakBytes <= memory.usableBytes;
  return (
    <>
      <h3>Memory</h3>
      <p>
        {bytes(memory.peakBytes)} of {bytes(memory.usableBytes)} that are free
        {fits ? '' : ': it does not fit'}
      </p>
      <BarChart
        label="Parts of the memory"
        bars={memory.parts.map(({ name, bytes: value }) => ({ name, value, text: bytes(value) }))}
      />
    </>
  );
}

/** What the model reads, and of it what it learns to write. */
function Examples({ examples }: { readonly examples: readonly (readonly TextPiece[])[] }) {
  return (
    <>
      <h3>What the model reads</h3>
      <p class="help">
        <mark>Marked</mark> is what it learns to write.
      </p>
      {examples.map((pieces, at) => (
        <pre key={at} tabIndex={0} aria-label={`Example ${at + 1}`}>
          {pieces.map(({ text, isLearnt }, piece) =>
            isLearnt ? <mark key={piece}>{text}</mark> : <span key={piece}>{text}</span>,
          )}
        </pre>
      ))}
    </>
  );
}
