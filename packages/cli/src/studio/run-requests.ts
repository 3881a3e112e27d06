/** How the studio's requests are read: as run files of `peft fit`. */
import { readFileSync } from 'node:fs';
import type { JsonObject } from '@peft/hub';
import type { RunRequests } from '@peft/studio';
import { stringify } from 'yaml';
import { firstFitOptionsOf, predictorOptionsOf, requiredOf } from '../options/fit-call.js';
import { FIT_ENTRIES, fitInputOfFile, type FitInput } from '../options/fit-options.js';
import { mergeFitInputs } from '../options/merge-fit-inputs.js';
import type { Plugins } from '../options/plugins.js';
import { wordsOf } from '../run-file/command-line.js';
import { asTyped } from '../terminal/command-words.js';

/** What an error calls a request. */
const NAME = 'run.yaml';
/** A page loads no modules; a run that needs some is started from a terminal. */
const NO_PLUGINS: Plugins = { methods: [], engines: [], architectures: [], formats: [] };

const inputOf = (request: JsonObject): FitInput => fitInputOfFile(NAME, request);

export const requests: RunRequests = Object.freeze({
  settings: () =>
    JSON.parse(
      readFileSync(new URL('../../schema/settings.schema.json', import.meta.url), 'utf8'),
    ) as JsonObject,
  call(request) {
    const input = mergeFitInputs(inputOf(request), {});
    const { train } = requiredOf({ output: 'out', ...input });
    return {
      train,
      predictor: predictorOptionsOf(input, NO_PLUGINS),
      fit: firstFitOptionsOf(input, NO_PLUGINS),
    };
  },
  plain(request) {
    const { hyperparameters = {}, ...input } = mergeFitInputs(inputOf(request), {});
    const named = FIT_ENTRIES.filter(([, { setting }]) => setting !== undefined);
    for (const [name] of named) delete (input as Record<string, unknown>)[name];
    return { ...input, hyperparameters };
  },
  runFile: (request) => stringify(request),
  commandLine: (request, { resume = false } = {}) =>
    asTyped(wordsOf({ ...inputOf(request), resume: resume || undefined })),
} satisfies RunRequests);
