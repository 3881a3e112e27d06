/**
 * Files of a run on an MLflow server that takes artifacts in itself (`--serve-artifacts`, its
 * default): `PUT api/2.0/mlflow-artifacts/artifacts/PATH`. Where artifacts lie elsewhere, in a bucket
 * say, clients write there with keys of their own, which is not done here.
 */
import { openAsBlob } from 'node:fs';
import { join } from 'node:path';
import type { MlflowRequests } from './mlflow-requests.js';

const SERVED = 'api/2.0/mlflow-artifacts/artifacts';

/**
 * @param artifacts where the run's lie, as the server said: `mlflow-artifacts:/7/ID/artifacts`.
 * @param file.path below its folder, with `/`
 * @throws PEFT_MLFLOW
 */
export async function sendFile(
  { url, put, fail }: MlflowRequests,
  artifacts: string,
  { folder, path }: { readonly folder: string; readonly path: string },
): Promise<void> {
  const served =
    /^mlflow-artifacts:(?:\/\/[^/]*)?\/+(.*)$/.exec(artifacts)?.[1] ??
    /^https?:\/\/.*\/mlflow-artifacts\/artifacts\/(.*)$/.exec(artifacts)?.[1];
  if (served === undefined)
    return fail(`its artifacts lie at ${artifacts || 'no address'}, where the server puts none`);
  const names = `${served}/${path}`.split('/').map(encodeURIComponent).join('/');
  await put(`${url}/${SERVED}/${names}`, path, await openAsBlob(join(folder, path)));
}
