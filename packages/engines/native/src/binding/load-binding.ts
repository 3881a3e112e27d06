/** Finds and loads the compiled addon. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { PeftError } from '@peft/errors';
import { checkThreadsVariable, useInstructionsVariable } from '../environment.js';
import type { NativeBinding } from './native-binding.js';

/**
 * Where an addon may lie, first match wins: `PEFT_NATIVE_ADDON`, this package's own build. After
 * them comes the prebuilt package of the platform.
 */
function candidates(): string[] {
  const own = fileURLToPath(new URL('../../build/Release/peft_native.node', import.meta.url));
  return process.env['PEFT_NATIVE_ADDON'] ? [process.env['PEFT_NATIVE_ADDON']] : [own];
}

let loaded: NativeBinding | undefined;

/**
 * Loads the addon, once a thread.
 * @throws PEFT_NATIVE_UNAVAILABLE when it was not built for this machine or cannot be loaded; the
 *   message says why. PEFT_THREADS_INVALID, PEFT_NATIVE_ISA_UNAVAILABLE for odd values of
 *   `PEFT_NUM_THREADS` and `PEFT_NATIVE_ISA`.
 */
export function loadBinding(): NativeBinding {
  if (loaded) return loaded;
  const require = createRequire(import.meta.url);
  const hint =
    'compile it (needs a C++20 compiler) with: npx peft-native-build, in a clone of the ' +
    'repository node tools/native/build-native.mjs; or use the portable engine.';
  for (const path of [...candidates(), `@peft/native-${process.platform}-${process.arch}`]) {
    if (path.endsWith('.node') && !existsSync(path)) continue;
    try {
      loaded = start(require(path) as NativeBinding);
      return loaded;
    } catch (cause) {
      if (cause instanceof PeftError) throw cause;
      if (!path.endsWith('.node') && (cause as { code?: string }).code === 'MODULE_NOT_FOUND')
        continue;
      throw new PeftError(
        'PEFT_NATIVE_UNAVAILABLE',
        `native: the addon ${path} cannot be loaded: ${(cause as Error).message}`,
        { hint, cause },
      );
    }
  }
  throw new PeftError(
    'PEFT_NATIVE_UNAVAILABLE',
    `native: there is no compiled addon for ${process.platform}-${process.arch}.`,
    { hint },
  );
}

function start(binding: NativeBinding): NativeBinding {
  checkThreadsVariable();
  useInstructionsVariable(binding);
  return binding;
}
