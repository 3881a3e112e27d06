/**
 * Loads tfjs-node's backend and kernels from a folder of any place, for the application's own copy
 * of tfjs.
 *
 * tfjs-node's entry point finds its addon with an installer's library, switches the backend at
 * once, and asks for functions that newer Node versions removed from `util`. So its modules are run
 * here one by one: `@tensorflow/tfjs` is the copy that this package uses, wherever the scripts lie,
 * `util` has the two functions again, and protocol buffers (for SavedModel and TensorBoard) are
 * left out.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as util from 'node:util';
import { compileFunction } from 'node:vm';
import { PeftError } from '@peft/errors';
import type { TensorflowBackend, TensorflowBinding } from './binding.js';

export interface TfjsNodeScripts {
  /** Registers every kernel of the backend `tensorflow`. */
  registerKernels(): void;
  createBackend(binding: TensorflowBinding, packageName: string): TensorflowBackend;
}

type Require = (request: string) => unknown;

/**
 * @param folder tfjs-node's, with `dist`. @throws PEFT_TENSORFLOW_INCOMPLETE when a file is missing
 */
export function loadScripts(folder: string): TfjsNodeScripts {
  const load = loaderOf(join(folder, 'dist'));
  return {
    registerKernels: () => void load('./register_all_kernels'),
    createBackend: (binding, packageName) => {
      const { NodeJSKernelBackend } = load('./nodejs_kernel_backend') as {
        NodeJSKernelBackend: new (binding: TensorflowBinding, name: string) => TensorflowBackend;
      };
      return new NodeJSKernelBackend(binding, packageName);
    },
  };
}

function loaderOf(root: string): Require {
  const own = createRequire(import.meta.url);
  const tfjs: unknown = own('@tensorflow/tfjs');
  const provided: Readonly<Record<string, unknown>> = {
    '@tensorflow/tfjs': tfjs,
    '@tensorflow/tfjs-core': tfjs, // which the former exports whole
    util: {
      ...util,
      isArray: Array.isArray,
      isNullOrUndefined: (value: unknown) => value === null || value === undefined,
    },
  };
  const loaded = new Map<string, { exports: unknown }>();
  const requireFrom =
    (folder: string): Require =>
    (request) => {
      if (Object.hasOwn(provided, request)) return provided[request];
      if (!request.startsWith('.')) return own(`node:${request}`) as unknown;
      if (request.endsWith('/proto/api_pb')) return {};
      const path = [`${join(folder, request)}.js`, join(folder, request, 'index.js')].find(
        (candidate) => existsSync(candidate),
      );
      if (!path)
        throw new PeftError(
          'PEFT_TENSORFLOW_INCOMPLETE',
          `tensorflow: ${join(folder, request)}.js of tfjs-node is missing.`,
          { hint: 'run: peft setup tensorflow' },
        );
      const known = loaded.get(path);
      if (known) return known.exports;
      const module = { exports: {} as unknown };
      loaded.set(path, module);
      const run = compileFunction(
        readFileSync(path, 'utf8'),
        ['exports', 'require', 'module', '__filename', '__dirname'],
        { filename: path },
      ) as (...args: unknown[]) => void;
      run.call(
        module.exports,
        module.exports,
        requireFrom(dirname(path)),
        module,
        path,
        dirname(path),
      );
      return module.exports;
    };
  return requireFrom(root);
}
