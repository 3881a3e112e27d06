/** What the layers of a part read when a batch runs through the model. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import type {
  AttachContext,
  LinearAttachment,
  MethodPart,
  Model,
  ModelBatch,
  SiteHandle,
} from '@peft/core';

const PROBE = 'start-probe';

/** What one layer read, kept until `dispose`. */
export interface LayerInput {
  readonly x: Tensor2D; // [N, in]
  readonly offsets: Int32Array; // [B+1]
}

/** A model with a probe on the linear layers that a part of a spec takes. */
export interface InputObserver {
  /** Runs a batch. @returns inputs by path; the caller disposes of them */
  inputs(batch: ModelBatch): ReadonlyMap<string, LayerInput>;
  /** The layers by path. */
  readonly layers: ReadonlyMap<string, SiteHandle<'linear'>>;
  /** Takes the probe off. */
  dispose(): void;
}

/** Puts a probe in the place of an adapter. */
export function observeInputs(model: Model, part: MethodPart): InputObserver {
  let seen = new Map<string, LayerInput>();
  const layers = new Map<string, SiteHandle<'linear'>>();
  const dispose = attachProbe(model, part, (site) => {
    layers.set(site.path, site);
    return {
      forward(x, base, call) {
        if (!seen.has(site.path))
          seen.set(site.path, { x: tf.keep(tf.clone(x)), offsets: call.layout(x.shape[0]) });
        return base(x);
      },
    };
  });
  return {
    layers,
    inputs(batch) {
      seen = new Map();
      try {
        tf.tidy(() => void model.forward(batch));
        return seen;
      } catch (error) {
        for (const { x } of seen.values()) x.dispose();
        throw error;
      }
    },
    dispose,
  };
}

/**
 * Puts an attachment of one's own on the linear layers that a part takes.
 * @returns what takes it off again
 */
export function attachProbe(
  model: Model,
  part: MethodPart,
  attach: (site: SiteHandle<'linear'>, context: AttachContext) => LinearAttachment,
): () => void {
  const active = model.activeAdapters;
  const method: MethodPart['method'] = {
    ...part.method,
    extraTargets: undefined,
    attach: { linear: (site, _config, context) => attach(site, context) },
  };
  model.addAdapter(
    PROBE,
    { name: part.method.name, parts: [{ ...part, method }] },
    { strict: false },
  );
  model.setActiveAdapters(...active, PROBE);
  return () => {
    model.deleteAdapter(PROBE);
    model.setActiveAdapters(...active);
  };
}
