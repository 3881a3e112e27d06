/** Where the setup command keeps TensorFlow's library. */
import { homedir } from 'node:os';
import { join } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

/** `PEFT_TENSORFLOW_HOME`, else `peft/tensorflow` in the user's cache folder. */
export function cacheFolder(
  environment: Environment = process.env,
  platform: string = process.platform,
): string {
  const { PEFT_TENSORFLOW_HOME: own, XDG_CACHE_HOME: cache, LOCALAPPDATA: local } = environment;
  if (own) return own;
  if (cache) return join(cache, 'peft', 'tensorflow');
  return join(
    platform === 'win32' && local ? local : join(homedir(), '.cache'),
    'peft',
    'tensorflow',
  );
}
