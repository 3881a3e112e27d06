/** A step of training by an optimiser of TensorFlow.js. */
import * as tf from '@tensorflow/tfjs';
import type { Optimizer, Scalar, Tensor } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { variableGradients } from '@peft/ops';
import type { AdapterParameter } from '../method/attach-context.js';
import type { Model } from './model.js';

/**
 * One step on what the active adapters train: θ ← update(θ, ∇[loss + Σ extra losses]), then the
 * methods' hooks (AdaLoRA's ranks). `train` of `@peft/trainer` is the whole loop: micro-batches,
 * clipping, schedules, validation, checkpoints.
 *
 * @param optimizer of TensorFlow.js, `tf.train.adam(1e-3)`; it is the caller's, who disposes it
 * @param loss runs on the tape and reads the model, `model.forward(batch, { training: true })`; its
 *   tensors are freed
 * @returns the loss before the update, extra losses of methods counted
 * @throws PEFT_GRADIENT_NONE when the loss depends on nothing that trains; PEFT_LOSS_NOT_FINITE for a
 *   loss that is NaN or infinite. Nothing is changed then
 * @example
 * const loss = await trainStep(model, optimizer, () => {
 *   const { logits } = model.forward(batch, { training: true });
 *   return tf.losses.softmaxCrossEntropy(labels, logits!).asScalar();
 * });
 */
export async function trainStep(
  model: Model,
  optimizer: Optimizer,
  loss: () => Scalar,
): Promise<number> {
  const adapters = model.activeAdapters.map((name) => model.adapter(name));
  const extras = adapters.flatMap(({ extraLosses }) => extraLosses);
  const { value, gradients } = tf.tidy(() => {
    const made = variableGradients(
      () =>
        extras.reduce<Tensor>((sum, term) => tf.add(sum, tf.reshape(term(), [])), loss()) as Scalar,
      model.trainables().map((parameter) => parameter.value),
    );
    for (const tensor of [made.value, ...Object.values(made.gradients)]) tf.keep(tensor);
    return made;
  });
  try {
    const [before] = await value.data(); // the loss is returned, and a NaN must be seen in time
    if (!Number.isFinite(before))
      throw new PeftError('PEFT_LOSS_NOT_FINITE', `core: the loss is ${before}.`, {
        hint: 'nothing was changed: lower the learning rate, or look for extreme inputs',
      });
    tf.tidy(() => optimizer.applyGradients(gradients));
    const gradient = ({ value: { name } }: AdapterParameter): Tensor | undefined => gradients[name];
    for (const { stepHooks } of adapters)
      for (const hook of stepHooks) await hook({ step: optimizer.iterations, gradient });
    return before!;
  } finally {
    tf.dispose([value, ...Object.values(gradients)]);
  }
}
