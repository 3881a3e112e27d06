/**
 * `POST /v1/load_lora_adapter` and `/v1/unload_lora_adapter`, as vLLM has them, for adapters of every
 * method. Off unless there is a folder that adapters may come from.
 */
import { realpathSync } from 'node:fs';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import type { Hono } from 'hono';
import { show } from '@peft/errors';
import { ApiError } from '../http/api-error.js';
import { languageOf, note, readBody, type ApiContext, type ServerEnv } from './context.js';

const NAME = /^[A-Za-z0-9][\w.:/-]{0,127}$/;

export function addAdapters(app: Hono<ServerEnv>, context: ApiContext): void {
  app.post('/v1/load_lora_adapter', async (c) => {
    const root = requireRoot(context);
    const { thread } = languageOf(context);
    const body = await readBody(c);
    const name = body.text('lora_name');
    const path = body.text('lora_path');
    if (name === undefined || !NAME.test(name))
      throw body.invalid('lora_name', 'letters, digits and ._:/-', name);
    if (path === undefined) throw body.invalid('lora_path', 'a folder', path);
    body.refuseUnknown();
    if (name === context.options.name)
      throw body.invalid('lora_name', 'another name than the model has', name);
    note(c, { model: name });
    await thread.load(name, folderIn(root, path));
    context.adapters.add(name);
    return c.text(`Success: LoRA adapter '${name}' added successfully.`);
  });
  app.post('/v1/unload_lora_adapter', async (c) => {
    requireRoot(context);
    const { thread } = languageOf(context);
    const body = await readBody(c);
    const name = body.text('lora_name');
    if (name === undefined) throw body.invalid('lora_name', 'the name of an adapter', name);
    body.pass('lora_int_id');
    body.refuseUnknown();
    note(c, { model: name });
    await thread.unload(name);
    context.adapters.delete(name);
    return c.text(`Success: LoRA adapter '${name}' removed successfully.`);
  });
}

/** @throws ApiError 403 */
function requireRoot({ options: { adapterRoot } }: ApiContext): string {
  if (adapterRoot !== undefined) return realpathSync(adapterRoot);
  throw new ApiError(
    403,
    'Adapters cannot be loaded or unloaded here: the server was started without --adapter-root FOLDER.',
  );
}

/** A folder inside the root, links followed. @throws ApiError 400, which tells nothing of others */
function folderIn(root: string, path: string): string {
  const outside = new ApiError(400, `There is no adapter ${show(path)} in the server's folder.`, {
    param: 'lora_path',
  });
  if (path.includes('\0')) throw outside;
  let folder: string;
  try {
    folder = realpathSync(isAbsolute(path) ? path : resolve(root, path));
  } catch {
    throw outside;
  }
  const inside = relative(root, folder);
  if (inside === '' || inside === '..' || inside.startsWith(`..${sep}`) || isAbsolute(inside))
    throw outside;
  return folder;
}
