/** The page that starts a run: table, model, settings, and what they come to. */
import { useEffect, useState } from 'preact/hooks';
import type { FormParts, TablePreview } from '../../src/api-types.js';
import { FailureNote } from '../parts/failure-note.js';
import { get, post } from '../state/api.js';
import { hashOf } from '../state/use-route.js';
import { draftOf, EMPTY_DRAFT, MODEL, requestOf, tablesOf, type Draft } from './draft.js';
import { MethodForm } from './method-form.js';
import { SettingsForm } from './settings-form.js';
import { Preview } from './start-preview.js';
import { TableDrop } from './table-drop.js';
import { TableForm } from './table-form.js';
import { usePreview } from './use-preview.js';

/** @param like the run that the new one is to be like. */
export function StartPage({ like }: { readonly like: string | undefined }) {
  const [form, setForm] = useState<FormParts>();
  const [draft, setDraft] = useState<Draft>(EMPTY_DRAFT);
  const [table, setTable] = useState<TablePreview>();
  const [failure, setFailure] = useState<Error>();
  const { answer, isLooking } = usePreview(table ? requestOf(draft) : {});
  const change = (changed: Partial<Draft>): void =>
    setDraft((before) => ({ ...before, ...changed }));

  useEffect(() => {
    get<FormParts>('/api/form').then(setForm, setFailure);
  }, []);
  useEffect(() => {
    if (like !== undefined) loadDraft(like).then(setDraft, setFailure);
  }, [like]);
  const { train } = draft;
  const columns = draft.columns?.join('\n');
  useEffect(() => {
    setTable(undefined);
    if (train === undefined) return undefined;
    const controller = new AbortController();
    const reading = columns === undefined ? {} : { columns: columns.split('\n') };
    post<TablePreview>('/api/table', { path: train, reading }, controller.signal).then(
      (read) => {
        if (controller.signal.aborted) return;
        setTable(read);
        setFailure(undefined);
        setDraft((before) => withGuess(before, read));
      },
      (error: Error) => {
        if (!controller.signal.aborted) setFailure(error);
      },
    );
    return () => controller.abort();
  }, [train, columns]);

  const start = async (): Promise<void> => {
    try {
      const { run } = await post<{ run: string }>('/api/start', {
        name: nameOf(draft, table),
        request: requestOf(draft),
      });
      location.hash = hashOf('runs', [run]);
    } catch (error) {
      setFailure(error as Error);
    }
  };
  if (!form)
    return (
      <main id="main">
        <FailureNote failure={failure} />
      </main>
    );
  return (
    <main id="main" class="with-preview">
      <div class="panel">
        <h1>Start a run</h1>
        <fieldset>
          <legend>Table</legend>
          {train === undefined && (
            <TableDrop known={form.tables} onTable={(path) => change({ train: path })} />
          )}
          {train !== undefined && !table && !failure && <p role="status">Reading {train} …</p>}
          {table && (
            <TableForm
              table={table}
              tasks={form.tasks}
              tables={form.tables}
              draft={draft}
              onChange={change}
              onOther={() => setDraft(EMPTY_DRAFT)}
            />
          )}
          {!table && train !== undefined && failure && (
            <button type="button" onClick={() => setDraft(EMPTY_DRAFT)}>
              Another table
            </button>
          )}
        </fieldset>
        {table && (
          <>
            <MethodForm
              form={form}
              draft={draft}
              defaultModel={String(
                answer?.preview?.settings[MODEL] ?? form.settings[MODEL]?.default,
              )}
              onChange={change}
            />
            <SettingsForm
              schemas={form.settings}
              draft={draft}
              preview={answer?.preview}
              onChange={(hyperparameters) => change({ hyperparameters })}
            />
          </>
        )}
        <FailureNote failure={failure} />
      </div>
      {table && (
        <div class="preview">
          <Preview answer={answer} isLooking={isLooking} />
          <form
            class="start"
            onSubmit={(event) => {
              event.preventDefault();
              void start();
            }}
          >
            <div class="field">
              <label for="name">Name of the run</label>
              <input
                id="name"
                value={nameOf(draft, table)}
                required
                onInput={({ currentTarget }) => change({ name: currentTarget.value })}
              />
            </div>
            <button type="submit" class="main" disabled={!answer?.preview || isLooking}>
              Start
            </button>
          </form>
        </div>
      )}
    </main>
  );
}

/** What the table looks like it is for, where the person has not said it. */
function withGuess(draft: Draft, table: TablePreview): Draft {
  const isSaid = draft.task !== undefined || draft.label !== undefined;
  const guess = isSaid ? {} : table.guess;
  return { ...draft, ...guess };
}

/** Where no name is typed. */
const nameOf = (draft: Draft, table: TablePreview | undefined): string =>
  draft.name || [table?.name.replace(/\.[^.]*$/, ''), draft.method || 'run', OPENED_AT].join('-');

/** `0412-1530`: month, day, hour and minute. */
function stampOf(now: Date): string {
  const parts = [now.getMonth() + 1, now.getDate(), now.getHours(), now.getMinutes()];
  const [month, day, hour, minute] = parts.map((part) => String(part).padStart(2, '0'));
  return `${month}${day}-${hour}${minute}`;
}

/** Its tables count as named: the person asked for a run like it. */
async function loadDraft(id: string): Promise<Draft> {
  const draft = draftOf(await get('/api/draft', { run: id }));
  for (const path of tablesOf(draft)) await post('/api/tables/name', { path });
  return draft;
}

const OPENED_AT = stampOf(new Date());
