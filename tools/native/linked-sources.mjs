/** Folders in which node-gyp builds an addon once more: it always builds into ./build. */
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Makes `folder`/build/`name`, with links to the addon's sources. */
export function linkedSources(folder, name) {
  const target = join(folder, 'build', name);
  mkdirSync(target, { recursive: true });
  for (const source of ['cpp', 'binding.gyp'])
    if (!existsSync(join(target, source))) symlinkSync(join(folder, source), join(target, source));
  return target;
}
