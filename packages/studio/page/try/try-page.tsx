/** The page that tries finished runs: a row through a predictor, a conversation with adapters. */
import { useEffect, useState } from 'preact/hooks';
import type { OpenModel, RunLine } from '../../src/api-types.js';
import { FailureNote } from '../parts/failure-note.js';
import { get, post } from '../state/api.js';
import { nameOf } from '../state/run-state.js';
import { hashOf } from '../state/use-route.js';
import { Conversation } from './conversation.js';
import { RowForm } from './row-form.js';

const LANGUAGE = 'causal-lm';

export function TryPage({ ids }: { readonly ids: readonly string[] }) {
  const [runs, setRuns] = useState<readonly RunLine[]>();
  const [model, setModel] = useState<OpenModel>();
  const [failure, setFailure] = useState<Error>();
  const [first, second] = ids;
  useEffect(() => {
    get<{ runs: RunLine[] }>('/api/runs').then(
      ({ runs: listed }) => setRuns(listed.filter(({ isWhole }) => isWhole)),
      setFailure,
    );
  }, []);
  const key = ids.join('\n');
  useEffect(() => {
    setModel(undefined);
    setFailure(undefined);
    if (key === '') return undefined;
    const controller = new AbortController();
    post<OpenModel>('/api/try/open', { runs: key.split('\n') }, controller.signal).then(
      setModel,
      (error: Error) => {
        if (!controller.signal.aborted) setFailure(error);
      },
    );
    return () => controller.abort();
  }, [key]);
  const choose = (chosen: readonly (string | undefined)[]): void => {
    const next = chosen.filter((id) => id !== undefined && id !== '');
    location.hash = hashOf('try', next as string[]);
  };
  const others = runs?.filter(({ id, task }) => id !== first && task === LANGUAGE) ?? [];
  const isLanguage = runs?.find(({ id }) => id === first)?.task === LANGUAGE;
  return (
    <main id="main" class="narrow">
      <h1>Try it</h1>
      <div class="fields">
        <div class="field">
          <label for="tried-run">Finished run</label>
          <select
            id="tried-run"
            value={first ?? ''}
            onChange={({ currentTarget }) => choose([currentTarget.value])}
          >
            <option value="">choose one</option>
            {runs?.map(({ id, task }) => (
              <option key={id} value={id}>
                {[nameOf(id), task].filter(Boolean).join(' · ')}
              </option>
            ))}
          </select>
        </div>
        {isLanguage && (
          <div class="field">
            <label for="beside">Beside it</label>
            <select
              id="beside"
              value={second ?? ''}
              onChange={({ currentTarget }) => choose([first, currentTarget.value])}
            >
              <option value="">the base model</option>
              {others.map(({ id }) => (
                <option key={id} value={id}>
                  {nameOf(id)}
                </option>
              ))}
            </select>
          </div>
        )}
      </div>
      {runs?.length === 0 && <p class="quiet">No run of this folder has a model yet.</p>}
      <FailureNote failure={failure} />
      {first !== undefined && !model && !failure && <p role="status">Loading the model …</p>}
      {model?.kind === 'predictor' && <RowForm key={key} model={model} />}
      {model?.kind === 'language' && (
        <Conversation
          key={key}
          voices={second === undefined ? model.voices : [first!, second]}
          hasChatTemplate={model.hasChatTemplate}
        />
      )}
    </main>
  );
}
