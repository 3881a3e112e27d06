/** A plug-in that exports a format, and nothing that trains or computes. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineFormat } from '@peft/export';

export const names = defineFormat({
  name: 'names',
  summary: 'the name of the first tensor',
  types: [],
  fileExtension: '.txt',
  prepare: ({ model }) => ({
    type: undefined,
    totalBytes: 1,
    warnings: [],
    write(place) {
      writeFileSync(join(place, 'names'), model.description.parameters[0]!.name);
      return Promise.resolve();
    },
  }),
});
