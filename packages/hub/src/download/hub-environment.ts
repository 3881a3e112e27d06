/** Where the hub and its cache are, by the environment variables of Python's `huggingface_hub`. */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** What the environment says of the hub, by the names that Python's `huggingface_hub` reads. */
export interface HubEnvironment {
  /** `HF_ENDPOINT`, without a slash at the end. */
  readonly endpoint: string;
  /** `HF_HUB_CACHE`, else `$HF_HOME/hub`, else `~/.cache/huggingface/hub`. */
  readonly cacheDir: string;
  /** `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE` is 1, true, yes or on. */
  readonly offline: boolean;
  /**
   * `HF_TOKEN`, else the file `HF_TOKEN_PATH` or `$HF_HOME/token`; none with
   * `HF_HUB_DISABLE_IMPLICIT_TOKEN`.
   */
  readonly token?: string;
}

/** Reads the variables; an empty one counts as not set. */
export function hubEnvironment(
  env: Readonly<Record<string, string | undefined>> = process.env,
): HubEnvironment {
  const path = (value: string) => resolve(value.replace(/^~(?=$|[\\/])/, homedir()));
  const home = path(env.HF_HOME || join(env.XDG_CACHE_HOME || '~/.cache', 'huggingface'));
  const token = isOn(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)
    ? undefined
    : env.HF_TOKEN?.trim() ||
      env.HUGGING_FACE_HUB_TOKEN?.trim() ||
      tokenFile(env.HF_TOKEN_PATH ? path(env.HF_TOKEN_PATH) : join(home, 'token'));
  return {
    endpoint: (env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, ''),
    cacheDir: path(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, 'hub')),
    offline: isOn(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE),
    token: token || undefined,
  };
}

const isOn = (value: string | undefined): boolean => /^(1|true|yes|on)$/i.test(value ?? '');

/** What `hf auth login` wrote; a missing file means no token. */
function tokenFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim() || undefined;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? ''))
      return undefined;
    throw error;
  }
}
