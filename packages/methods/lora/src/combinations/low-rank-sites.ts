/** Sites that carry a product B·A, and how a combination fills it. */
import * as tf from '@tensorflow/tfjs';
import type { Adapter, EmbeddingSite, LinearSite } from '@peft/core';
import type { Svd } from '@peft/ops';
import { matricesOf, type LoraMatrices } from '../variants/lora-linear.js';

export type LowRankSite = LinearSite | EmbeddingSite;

/** A and B of an adapter at a site where it is nothing but their product. */
export function matricesAt(adapter: Adapter, site: LowRankSite): LoraMatrices | undefined {
  const attached = adapter.at(site.kind, site.path);
  return attached.length === 1 ? matricesOf(attached[0]!.attachment) : undefined;
}

/** B·A is `[out, in]`; of an embedding `[D, V]`. */
export const sizesOf = (site: LowRankSite): readonly [height: number, width: number] =>
  site.kind === 'linear' ? [site.outFeatures, site.inFeatures] : [site.size, site.rows];

/** `rankPattern` for the sites whose rank is not the usual one. */
export const patternOf = (
  ranks: ReadonlyMap<LowRankSite, number>,
  usual: number,
): Record<string, number> =>
  Object.fromEntries(
    [...ranks]
      .filter(([, rank]) => rank !== usual)
      .map(([{ path }, rank]) => [path.replaceAll('.', '\\.'), rank]),
  );

/** A = Vᵀ `[r, width]`, B = U·diag(S) `[height, r]`. */
export function assignSvd(
  { a, b }: Pick<LoraMatrices, 'a' | 'b'>,
  { values, left, right }: Svd,
): void {
  const [rank, width] = a.shape as [number, number];
  const height = b.shape[0]!;
  tf.tidy(() => {
    a.value.assign(
      tf.tensor2d(
        right.map((v) => [...v]),
        [rank, width],
      ),
    );
    b.value.assign(
      tf.transpose(
        tf.tensor2d(
          left.map((u, k) => Array.from(u, (value) => value * values[k]!)),
          [rank, height],
        ),
      ),
    );
  });
}
