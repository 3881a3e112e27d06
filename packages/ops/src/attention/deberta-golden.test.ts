import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { fixtureTensors } from '@peft/testing';
import { expect, test } from 'vitest';
import { onEachBackend } from '../../test/on-each-backend.js';
import { activate } from '../activations/activation.js';
import { debertaRelativeIndices } from './deberta-relative-indices.js';
import { disentangledAttention } from './disentangled-attention.js';
import { layerNorm } from '../norms/layer-norm.js';
import { linear } from '../products/linear.js';
import { offsetsOf } from '../positions/offsets.js';

// Hidden states of a tiny DeBERTa-v2 as transformers computes them; texts of 2 to 40 tokens, 16 log
// buckets, so most of them are in use.
const folder = new URL('../../../testing/fixtures/models/deberta-v2/', import.meta.url);
const json = (name: string) => JSON.parse(readFileSync(new URL(name, folder), 'utf8'));

onEachBackend('DeBERTa-v2', () => {
  test('each layer of the golden model maps its hidden states to the next ones', () => {
    const config = json('config.json') as {
      hidden_size: number;
      num_attention_heads: number;
      position_buckets: number;
      max_position_embeddings: number;
      layer_norm_eps: number;
    };
    const masks = (json('case.json') as { batch: { attention_mask: number[][] } }).batch
      .attention_mask;
    const lengths = masks.map((mask) => mask.reduce((a, b) => a + b, 0));
    const offsets = offsetsOf(lengths);
    const golden = fixtureTensors(new URL('expected.safetensors', folder));
    const weights = fixtureTensors(new URL('model.safetensors', folder));
    const of = (name: string) =>
      tf.tensor(weights.get(`deberta.encoder.${name}`)!.values(), [
        ...weights.get(`deberta.encoder.${name}`)!.shape,
      ]);
    const norm = (x: Tensor2D, name: string) =>
      layerNorm(
        x,
        of(`${name}.weight`) as Tensor1D,
        of(`${name}.bias`) as Tensor1D,
        config.layer_norm_eps,
      );
    const hidden = (layer: number) => {
      const padded = tf.tensor(golden.get(`hidden_states.${layer}`)!.values(), [
        masks.length,
        masks[0]!.length,
        config.hidden_size,
      ]);
      return tf.concat(
        lengths.map((length, b) =>
          tf.reshape(tf.slice(padded, [b, 0, 0], [1, length, -1]), [length, -1]),
        ),
        0,
      ) as Tensor2D;
    };
    const indices = debertaRelativeIndices({
      positionBuckets: config.position_buckets,
      maxRelativePositions: config.max_position_embeddings,
      maxLength: Math.max(...lengths),
    });
    const relative = norm(of('rel_embeddings.weight') as Tensor2D, 'LayerNorm');
    for (const layer of [0, 1, 2]) {
      const dense = (x: Tensor2D, name: string) =>
        linear(
          x,
          of(`layer.${layer}.${name}.weight`) as Tensor2D,
          of(`layer.${layer}.${name}.bias`) as Tensor1D,
        );
      const x = hidden(layer);
      const context = disentangledAttention(
        dense(x, 'attention.self.query_proj'),
        dense(x, 'attention.self.key_proj'),
        dense(x, 'attention.self.value_proj'),
        {
          offsets,
          heads: config.num_attention_heads,
          indices,
          positionKeys: dense(relative, 'attention.self.key_proj'), // share_att_key
          positionQueries: dense(relative, 'attention.self.query_proj'),
        },
      );
      const attended = norm(
        tf.add(dense(context, 'attention.output.dense'), x),
        `layer.${layer}.attention.output.LayerNorm`,
      );
      const y = norm(
        tf.add(
          dense(activate('gelu', dense(attended, 'intermediate.dense')), 'output.dense'),
          attended,
        ),
        `layer.${layer}.output.LayerNorm`,
      );
      expect(y, `layer ${layer}`).toBeAllclose(hidden(layer + 1), { atol: 2e-5, rtol: 0 });
    }
  });
});
