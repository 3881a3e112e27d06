/**
 * A tiny Llama of random weights learns 50 answers by heart: conversations written by a chat
 * template, the loss on the answers alone. Nothing is downloaded.
 *
 *     node tools/run-source.mjs examples/instruct/instruct.ts
 *     node tools/run-source.mjs examples/instruct/instruct.ts --engine portable
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createTrainEventBus, describeModel, loadModel, randomWeights } from '@peft/core';
import { chatData, loadChatTemplate, loadTokenizer, readTable, type ChatMessage } from '@peft/data';
import { createTextEvaluator, generateTexts, generationDefaults } from '@peft/generation';
import { llama } from '@peft/models';
import { adamw, cosineSchedule } from '@peft/optim';
import { fullFineTuning } from '@peft/methods';
import { chooseEngine, type EngineName } from '@peft/predictor';
import { causalLanguageModel, createBatchOrder, plannedSteps, train } from '@peft/trainer';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const { values: flags } = parseArgs({
  options: { engine: { type: 'string', default: process.env['PEFT_ENGINE'] ?? 'auto' } },
});

// 1. A model: a config, and random numbers in place of a checkpoint's weights. All of it trains,
//    since there is nothing to build on.
const { engine } = await chooseEngine({ name: flags.engine as EngineName });
const config = JSON.parse(readFileSync(here('model/config.json'), 'utf8')) as Record<
  string,
  unknown
>;
const head = { kind: 'causal-lm' } as const;
const weights = randomWeights(describeModel(llama, llama.parseConfig(config), head), {
  standardDeviation: 0.05,
});
const model = loadModel(llama, config, weights, engine, { head });
model.addAdapter('default', fullFineTuning());

// 2. Data: each row a question and an answer, written as the chat template says. Only the tokens of
//    the answer are labelled.
const tokenizer = loadTokenizer(here('model'));
const template = loadChatTemplate(here('model'), tokenizer);
const table = await readTable(here('data/instructions.jsonl'));
const column = (name: string): string[] => table.column(name).map((cell) => String(cell ?? ''));
const questions = column('instruction').map((instruction, row): ChatMessage => ({
  role: 'user',
  content: `${instruction}\n${column('input')[row]!}`.trim(),
}));
const answers = column('output');
const data = await chatData(
  questions.map((question, row) => [question, { role: 'assistant', content: answers[row]! }]),
  tokenizer,
  template,
  { maxLength: 400 },
);

// 3. Training: the loss of a step is the mean over all labelled tokens of its ten rows.
const order = createBatchOrder({ lengths: data.lengths, batchSize: 10, seed: 1 });
const options = { epochs: 32 };
const bus = createTrainEventBus();
bus.listen((event) => {
  if (event.type === 'run/started')
    console.log(
      `${event.trainableParameters.toLocaleString('en')} parameters, ${data.lengths.length} ` +
        `conversations, engine ${event.engine}, ${event.plannedSteps} steps`,
    );
  if (event.type === 'step/completed' && (event.step % 50 === 0 || event.step === 1))
    console.log(`step ${event.step}  loss ${event.loss.toFixed(3)}`);
});
await train({
  model,
  task: causalLanguageModel(),
  data,
  order,
  bus,
  options,
  optimizer: adamw(),
  schedule: cosineSchedule({
    learningRate: 4e-3,
    warmupSteps: 20,
    totalSteps: plannedSteps(order, options),
  }),
});

// 4. Writing: the model answers all 50 questions, token by token.
const prompts = questions.map((question) =>
  tokenizer.ids(template.render([question], { addGenerationPrompt: true })),
);
const writing = { ...generationDefaults({ config, tokenizer }), maxNewTokens: 160, batchSize: 50 };
const { metrics } = await createTextEvaluator({
  model,
  tokenizer,
  prompts,
  references: answers,
  metrics: ['exact_match', 'rougeL'],
  ...writing,
})();
console.log(
  `answers word for word ${metrics['exact_match']!.toFixed(2)}  ROUGE-L ${metrics['rougeL']!.toFixed(2)}\n`,
);
for (const row of [2, 15]) {
  const [answer] = await generateTexts(model, tokenizer, [prompts[row]!], writing);
  console.log(`Q: ${questions[row]!.content!.replaceAll('\n', ' ')}\nA:${answer!.text}`);
}
model.dispose();
