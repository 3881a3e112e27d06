/**
 * A bottleneck on a residual branch. With o the branch's output, r its residual, LN the model's own
 * norm where it has one:
 *
 *   sequential: h = LN(o + r) or o; y = up(h) + o; result LN(y + r)      Houlsby et al. 2019, Pfeiffer et al. 2020
 *   parallel:   y = o + up(r);      result LN(y + r)                      He et al. 2022
 *
 * In post-norm models r is what the branch read; in pre-norm models it is that before the norm, as
 * in adapter-hub.
 */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import type {
  AttachmentCall,
  AttachContext,
  SiteHandle,
  SublayerAttachment,
  SublayerCall,
} from '@peft/core';
import { makeBottleneck } from './bottleneck-network.js';
import { bottleneckSize, type BottleneckConfig } from './bottleneck-config.js';

/** Its parts, for what combines several. */
export interface BottleneckSublayer extends SublayerAttachment {
  /** What it reads, and its own residual. */
  read(call: SublayerCall): { readonly input: Tensor2D; readonly residual: Tensor2D };
  /** The scaled output of the bottleneck. */
  up(input: Tensor2D, call: AttachmentCall): Tensor2D;
  /** Ends the branch. */
  close(made: Tensor2D, call: SublayerCall): Tensor2D;
}

export const isBottleneck = (adapter: object): adapter is BottleneckSublayer =>
  'read' in adapter && 'up' in adapter && 'close' in adapter;

export function bottleneckSublayer(
  site: SiteHandle<'sublayer'>,
  config: BottleneckConfig,
  context: AttachContext,
): BottleneckSublayer {
  const network = makeBottleneck(
    site.size,
    bottleneckSize(site.size, blockNumber(site, context), config),
    config,
    context,
  );
  const read = config.isParallel
    ? ({ residual }: SublayerCall) => ({ input: residual, residual })
    : (call: SublayerCall) => readSequential(call, config);
  const close = (made: Tensor2D, call: SublayerCall): Tensor2D =>
    call.close(config.isParallel ? tf.add(made, call.output) : made, {
      bare: !config.originalLnAfter,
    });
  return {
    read,
    up: (input, call) => network.up(input, call),
    close,
    forward(call) {
      const { input, residual } = read(call);
      return close(
        network.finish(
          network.up(input, call),
          input,
          config.isParallel ? undefined : residual,
          call,
        ),
        call,
      );
    },
  };
}

function readSequential(
  { output, residual: branch, norm }: SublayerCall,
  { originalLnBefore, residualBeforeLn }: BottleneckConfig,
): { input: Tensor2D; residual: Tensor2D } {
  if (!originalLnBefore) return { input: output, residual: output };
  const sum = tf.add<Tensor2D>(output, branch);
  const input = norm ? norm(sum) : sum;
  if (residualBeforeLn === 'post_add') return { input, residual: sum };
  return { input, residual: residualBeforeLn ? output : input };
}

/** A decoder's blocks count on from the encoder's. */
export const blockNumber = (
  { layer = 0, stack }: Pick<SiteHandle<'sublayer'>, 'layer' | 'stack'>,
  { description }: Pick<AttachContext, 'description'>,
): number => layer + (stack === 'decoder' ? description.layers.encoder : 0);
