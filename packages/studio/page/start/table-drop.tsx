/** Where a table is dropped, chosen or named. */
import { useState } from 'preact/hooks';
import { FailureNote } from '../parts/failure-note.js';
import { post, send } from '../state/api.js';

interface TableDropProps {
  /** Tables that were dropped here before. */
  readonly known: readonly string[];
  readonly onTable: (path: string) => void;
}

export function TableDrop({ known, onTable }: TableDropProps) {
  const [isOver, setIsOver] = useState(false);
  const [isBusy, setIsBusy] = useState(false);
  const [path, setPath] = useState('');
  const [failure, setFailure] = useState<Error>();
  const take = async (asked: () => Promise<{ path: string }>): Promise<void> => {
    setIsBusy(true);
    setFailure(undefined);
    try {
      onTable((await asked()).path);
    } catch (error) {
      setFailure(error as Error);
    } finally {
      setIsBusy(false);
    }
  };
  const drop = (file: File | undefined): void => {
    if (file) void take(() => send('/api/tables/drop', { name: file.name }, file));
  };
  const name = (named: string): void => void take(() => post('/api/tables/name', { path: named }));
  return (
    <div
      class={`drop ${isOver ? 'over' : ''}`}
      onDragOver={(event) => {
        event.preventDefault();
        setIsOver(true);
      }}
      onDragLeave={() => setIsOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setIsOver(false);
        drop(event.dataTransfer?.files[0]);
      }}
    >
      <p>
        Drop a table here, or{' '}
        <label class="button">
          choose a file
          <input
            type="file"
            class="unseen"
            accept=".csv,.tsv,.tab,.jsonl,.ndjson,.json,.parquet,.pq,.txt,.conll"
            disabled={isBusy}
            onChange={({ currentTarget }) => drop(currentTarget.files?.[0])}
          />
        </label>
      </p>
      <p class="help">
        CSV, TSV, JSON Lines, JSON, Parquet, text or CoNLL. It stays on this machine.
      </p>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          name(path);
        }}
      >
        <input
          aria-label="Path of a table on this machine"
          placeholder="/path/of/a/table.csv"
          list="known-tables"
          value={path}
          spellcheck={false}
          onInput={({ currentTarget }) => setPath(currentTarget.value)}
        />
        <datalist id="known-tables">
          {known.map((each) => (
            <option key={each} value={each} />
          ))}
        </datalist>
        <button type="submit" disabled={isBusy || path === ''}>
          Open
        </button>
      </form>
      {isBusy && <p role="status">Reading …</p>}
      <FailureNote failure={failure} />
    </div>
  );
}
