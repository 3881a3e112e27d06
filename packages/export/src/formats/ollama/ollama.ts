/** A folder for `ollama create`: the merged model as GGUF and a Modelfile. */
import { join } from 'node:path';
import { writeFileAtomic } from '@peft/hub';
import type { TrainedModel } from '@peft/predictor';
import { defineFormat } from '../../format.js';
import { answerEndIds, chatTemplateOf } from '../../model/answers.js';
import { gguf } from '../gguf/gguf.js';
import { unsupported } from '../unsupported.js';
import { knownTemplate, TEMPLATE_NAMES } from './chat-templates.js';

/** `ollama`: the GGUF file beside a Modelfile with template and stop tokens. */
export const ollama = defineFormat({
  name: 'ollama',
  summary: 'a folder for ollama create: the merged model and a Modelfile',
  types: gguf.types,
  prepare(source, request) {
    const modelfile = modelfileOf(source, `${request.name}-${request.type ?? gguf.types[0]!}.gguf`);
    const job = gguf.prepare(source, request);
    return {
      ...job,
      async write(folder, tools) {
        await job.write(folder, tools);
        await writeFileAtomic(join(folder, 'Modelfile'), modelfile);
      },
      next: (output) => [
        `ollama create ${request.name.toLowerCase()} -f ${join(output, 'Modelfile')}`,
        `ollama run ${request.name.toLowerCase()}`,
      ],
    };
  },
});

/** @throws PEFT_EXPORT_UNSUPPORTED for a chat template that is not known */
function modelfileOf(source: TrainedModel, file: string): string {
  const { tokenizer } = source.base;
  const template = chatTemplateOf(source);
  const lines = [`FROM ./${file}`];
  if (!template) return `${[...lines, 'TEMPLATE """{{ .Prompt }}"""'].join('\n')}\n`;
  const known = knownTemplate(template, tokenizer);
  if (!known)
    throw unsupported(
      'ollama',
      'has templates of its own kind, and the chat template of this model is none of ' +
        TEMPLATE_NAMES.join(', '),
      'use --to gguf and write the TEMPLATE of a Modelfile for it, or train with ' +
        '--chat-template chatml',
    );
  const ends = new Set([...answerEndIds(source), tokenizer.specialIds.eos]);
  const stops = [...ends].flatMap((id) =>
    id === undefined ? [] : [tokenizer.idToToken(id) ?? ''],
  );
  return `${[
    ...lines,
    `TEMPLATE """${known.go}"""`,
    ...stops.filter(Boolean).map((stop) => `PARAMETER stop ${JSON.stringify(stop)}`),
  ].join('\n')}\n`;
}
