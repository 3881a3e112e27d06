/**
 * Poly: a pool of small skills, LoRAs of which each task learns its own mixture. Ponti et al. 2022,
 * "Combining Modular Skills in Multitask Learning"; with several splits each part of the features has
 * mixtures of its own, Caccia et al. 2022, "Multi-Head Adapter Routing for Cross-Task Generalization":
 *
 *   y = base(x) + 1/r·x·A_t·B_t,   A_t = [Σₛ w_tqs·A_qs over splits q, one below the other]
 *
 * A_qs `[in/Q, r]`, B_qs `[r, out/Q]`, side by side in B_t; w_tq = σ(z_tq)/Σₛ σ(z_tqs). While training
 * σ(z) is drawn from a relaxed Bernoulli distribution of temperature 1, for each sequence anew.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import {
  definePeftMethod,
  optionTable,
  queryValueTargets,
  uniform,
  zeros,
  type AttachmentCall,
  type SiteHandle,
} from '@peft/core';
import { PeftError } from '@peft/errors';
import { gatherRows } from '@peft/ops';

/** Options of Poly. */
export interface PolyConfig {
  /** r of each skill. Default 8. */
  readonly rank: number;
  /** Tasks; `taskIds` of a batch count from 0. Default 1, which needs no ids. */
  readonly tasks: number;
  /** Skills of a layer. Default 4. */
  readonly skills: number;
  /** Q: parts of the features with mixtures of their own. Default 1. */
  readonly splits: number;
  /** Start at the base. `false`: B random, for tests. Default true. */
  readonly initWeights: boolean;
}

declare module '@peft/core' {
  interface PeftConfigs {
    poly: PolyConfig;
  }
}

/**
 * The Poly method: `poly({ tasks: 3, skills: 4 })`. It cannot be merged: tasks differ.
 * @throws PEFT_CONFIG_INVALID, PEFT_CONFIG_UNKNOWN_KEY; in a run PEFT_TASK_ID_MISSING and
 *   PEFT_TASK_ID_RANGE for batches without a task for each sequence
 */
export const poly = definePeftMethod({
  name: 'poly',
  peftType: 'POLY',
  formula: 'y = base(x) + 1/r·x·A_t·B_t, mixed from skills for task t',
  paper: {
    title: 'Combining Modular Skills in Multitask Learning',
    url: 'https://arxiv.org/abs/2202.13914',
  },
  ...optionTable<PolyConfig>(
    'poly',
    {
      rank: { default: 8, is: 'positiveInteger', peft: 'r' },
      tasks: { default: 1, is: 'positiveInteger', peft: 'n_tasks' },
      skills: { default: 4, is: 'positiveInteger', peft: 'n_skills' },
      splits: { default: 1, is: 'positiveInteger', peft: 'n_splits' },
      initWeights: { default: true, is: 'boolean', peft: 'init_weights' },
    },
    { fixed: { poly_type: 'poly' } },
  ),
  defaultTargets: queryValueTargets,
  tasks: ({ tasks }) => tasks,

  attach: {
    linear(site, config, context) {
      refuseUnevenSplits(site, config);
      const { rank: r, tasks, skills, splits } = config;
      const [inner, outer] = [site.inFeatures / splits, site.outFeatures / splits];
      const fan = (width: number) => uniform(-1 / Math.sqrt(width), 1 / Math.sqrt(width));
      const a = context.param('poly_lora_A', [splits, skills, inner, r], fan(inner));
      const startB = config.initWeights ? zeros : fan(r);
      const b = context.param('poly_lora_B', [splits, skills, r, outer], startB);
      const logits = context.param(
        'poly_router.module_logits',
        [tasks, splits * skills],
        uniform(-1e-3, 1e-3),
      );
      let scaling = 1 / r;
      /** w `[Q, N or 1, skills, 1]`. */
      const weightsOf = (rows: number, call: AttachmentCall): Tensor => {
        const isOne = tasks === 1;
        const ids = isOne ? undefined : call.tasks(tasks);
        const ownOf = (): Tensor2D => {
          if (!call.training) return tf.sigmoid(logits.value);
          const chances = ids ? gatherRows(logits.value, ids) : logits.value;
          return tf.sigmoid(tf.add<Tensor2D>(chances, logisticNoise(call, splits * skills)));
        };
        const own = tf.reshape(ownOf(), [-1, splits, skills]);
        const shares = tf.div(own, tf.sum(own, 2, true));
        const flat = tf.reshape(shares, [-1, splits * skills]) as Tensor2D;
        const chosen = (): Tensor2D => {
          if (flat.shape[0] === 1) return flat;
          const sequences = call.sequences(rows);
          return gatherRows(
            flat,
            call.training || !ids ? sequences : sequences.map((sequence) => ids[sequence]!),
          );
        };
        return tf.transpose(tf.reshape(chosen(), [-1, splits, skills, 1]), [1, 0, 2, 3]);
      };
      return {
        forward(x, base, call) {
          const rows = x.shape[0];
          const weights = weightsOf(rows, call);
          const parts = tf.transpose(tf.reshape(x, [rows, splits, inner]), [1, 0, 2]); // [Q, N, in/Q]
          const down = tf.reshape(tf.transpose(a.value, [0, 2, 1, 3]), [splits, inner, skills * r]);
          const narrow = tf.reshape(tf.matMul(parts, down), [splits, rows, skills, r]);
          const mixed = tf.sum(tf.mul(narrow, weights), [0, 2]); // [N, r]
          const spread = tf.mul(tf.reshape(mixed, [1, rows, 1, r]), weights); // [Q, N, skills, r]
          const up = tf.reshape(b.value, [splits, skills * r, outer]);
          const wide = tf.matMul(tf.reshape(spread, [splits, rows, skills * r]), up) as Tensor3D;
          const added = tf.reshape(tf.transpose(wide, [1, 0, 2]), [rows, -1]);
          return tf.add(base(x), tf.mul(added, scaling));
        },
        rescale: (factor) => void (scaling *= factor),
        readsSequences: true,
        readsWholeBatch: true,
      };
    },
  },
});

function refuseUnevenSplits(
  { path, inFeatures, outFeatures }: SiteHandle<'linear'>,
  { splits }: PolyConfig,
): void {
  if (inFeatures % splits === 0 && outFeatures % splits === 0) return;
  throw new PeftError(
    'PEFT_CONFIG_INVALID',
    `poly: ${splits} splits do not divide ${path}, which maps ${inFeatures} features to ${outFeatures}.`,
    { hint: 'choose splits that divide both' },
  );
}

/** log(u/(1 − u)), u uniform in (0, 1), `[B, count]`; two normal numbers a, b give u = exp(−(a² + b²)/2). */
function logisticNoise(call: AttachmentCall, count: number): Tensor2D {
  const shape = [call.sequences().length, count] as const;
  const squares = ['first', 'second'].map((name) => tf.square(call.normal(shape, name)));
  const logarithm = tf.div(tf.addN(squares), -2); // log u
  const uniformly = tf.minimum(tf.exp(logarithm), 1 - 1e-7);
  return tf.sub(tf.log(uniformly), tf.log1p(tf.neg(uniformly)));
}
