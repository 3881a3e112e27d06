# {{package}}

{{pascal}}, a method of parameter-efficient fine-tuning for [@peft](https://www.npmjs.com/package/@peft/core).

```text
{{formula}}
```

```sh
npm install {{package}} @peft/predictor @tensorflow/tfjs
```

```ts
import { PeftPredictor, withMethods } from '@peft/predictor';
import { {{camel}} } from '{{package}}';

const predictor = new PeftPredictor({
  label: 'topic',
  path: 'topics',
  modules: [withMethods({{camel}})],
});
await predictor.fit('train.csv', {
  method: {{camel}}(),
  hyperparameters: { 'model.hf_text.checkpoint_name': './model' },
});
console.log(predictor.trainableParameters, await predictor.evaluate('test.csv'));
predictor.dispose();
```

On the command line, without installing anything but the package: `peft inspect MODEL --method {{name}} --plugin {{package}}`,
`peft fit … --method {{name}} --plugin {{package}}`.

## Working on it

`npm test` runs the contract that every method passes (identity at the start, gradients, frozen weights, merging, files, several adapters, mixed
batches, nothing left in memory) on an encoder, an encoder-decoder and a decoder. Cases and what they promise are in
`src/{{name}}.contract.test.ts`. `npx changeset` notes a change; `npx changeset version` writes CHANGELOG.md from the notes.
