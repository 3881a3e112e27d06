/** What adapters run beside the blocks of a stack, in one forward pass. */
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { attention, gatherRows, isFrozenTensor } from '@peft/ops';
import type { Adapter } from '../../adapter/adapter.js';
import { unknownLayout } from '../../adapter/attachment-call.js';
import type { StackSite } from '../../description/sites.js';
import { stackOfBlock } from './stack-sites.js';
import type { AttachmentCall, BlockCopy, StackCall, StackStates } from '../../method/attachment.js';
import type { AdapterScope, InForce } from '../adapter-scope.js';
import type { KeyValues } from '../cache/cached-rows.js';
import type { Past } from '../past.js';
import type { RunHost } from '../run-options.js';
import type { SequenceLayouts } from '../sequence-layouts.js';
import { blocksOfParameters } from '../stage/stage-parameters.js';

/** The parts of a run that it works with. */
interface RunParts {
  readonly host: RunHost;
  readonly scope: AdapterScope;
  readonly layouts: SequenceLayouts;
  readonly past: Past;
  readonly isMixed: boolean;
  call(owner: Adapter, path: string): AttachmentCall;
}

/** What runs beside the blocks of a model while they run. */
export class StackPasses {
  readonly #run: RunParts;
  /** What runs beside the stack at hand, for each attachment. */
  #beside: readonly Tensor2D[] = [];
  #leavesBlocks: boolean | undefined;

  constructor(run: RunParts) {
    this.#run = run;
  }

  /**
   * Whether no gradient goes through a block that reads these tensors: they are frozen, and nothing
   * that trains stands in a block. Nothing has to be kept of it then.
   */
  isStill(inputs: readonly Tensor2D[]): boolean {
    const { scope, isMixed } = this.#run;
    if (isMixed || this.#run.host.trains || !inputs.every(isFrozenTensor)) return false;
    return (this.#leavesBlocks ??= scope.adapters.every(leavesBlocks));
  }

  /**
   * Runs a block, and what stands beside it.
   * @param index of the block among all of the model
   * @param run the block, which may make more columns than its state (`besideState`)
   * @throws PEFT_STAGE_UNSUPPORTED where the model's other blocks lie elsewhere
   */
  through(
    index: number,
    inputs: readonly Tensor2D[],
    run: (inputs: readonly Tensor2D[], copy?: BlockCopy) => Tensor2D,
  ): Tensor2D {
    const { host, scope } = this.#run;
    const place = stackOfBlock(host.description, index);
    const attached = place ? scope.at('stack', place.site.path) : [];
    if (!place || attached.length === 0) return run(inputs);
    const { site, block } = place;
    if (host.stage) throw onStage(attached[0]!, site);
    const again: StackCall['again'] = (state, copy) =>
      stateOf(run([state, ...inputs.slice(1)], copy), site);
    const calls = attached.map(({ owner }) => ({
      ...this.#call(owner, site),
      again: (state: Tensor2D, copy: BlockCopy) =>
        again(state, { ...copy, name: `${owner.name} ${copy.name}` }),
    }));
    if (block === 0)
      this.#beside = attached.map(({ attachment }, i) =>
        tf.tidy(() => attachment.begin(inputs[0]!, calls[i]!)),
      );
    const entering = attached.reduce((state, { attachment }, i) => {
      const states: StackStates = { state, beside: this.#beside[i]! };
      return attachment.enter ? tf.tidy(() => attachment.enter!(block, states, calls[i]!)) : state;
    }, inputs[0]!);
    const made = run([entering, ...inputs.slice(1)]);
    const columns = made.shape[1] - site.size;
    let state = stateOf(made, site);
    this.#beside = attached.map(({ attachment }, i) => {
      const states: StackStates = { state, beside: this.#beside[i]! };
      const [next, beside] = tf.tidy(() => {
        const after = attachment.follow(block, states, calls[i]!);
        return [after.state, after.beside] as const as unknown as Tensor2D[];
      }) as [Tensor2D, Tensor2D];
      state = next;
      return beside;
    });
    return columns === 0
      ? state
      : tf.concat([state, tf.slice(made, [0, site.size], [-1, columns])], 1);
  }

  #call(owner: Adapter, site: StackSite): Omit<StackCall, 'again'> {
    const { layouts, past } = this.#run;
    return {
      ...this.#run.call(owner, site.path),
      attend: (name, q, k, v, { heads }) => {
        const offsets = layouts.find(site.path, q.shape[0]);
        if (!offsets) throw unknownLayout(site.path, q.shape[0]);
        const seen = this.#keys(site, { keys: k, values: v, offsets });
        const all = past.extendBeside(`${site.path} ${owner.name} ${name}`, site.stack, seen);
        return attention(q, all.keys, all.values, {
          heads,
          causal: site.stack === 'decoder',
          queryOffsets: offsets,
          keyOffsets: all.offsets,
          keyStarts: all.starts,
        });
      },
    };
  }

  /** The rows that sequences see: with those that they share, without those of padding. */
  #keys({ stack, path }: StackSite, own: KeyValues): KeyValues {
    const { layouts } = this.#run;
    const isCausal = stack === 'decoder';
    if (!isCausal) layouts.refuseSharedStart(path);
    const padding = layouts.attended(own.offsets);
    if (padding && isCausal)
      throw new PeftError(
        'PEFT_BATCH_PADDING',
        `${path}: padding rows do not go with an attention beside a decoder.`,
        { hint: 'leave the padding out' },
      );
    const chosen = (isCausal ? layouts.sharedKeys(own.offsets) : undefined) ?? padding;
    return chosen
      ? {
          keys: gatherRows(own.keys, chosen.rows),
          values: gatherRows(own.values, chosen.rows),
          offsets: chosen.offsets,
        }
      : own;
  }
}

/** Of what a block makes, the state that the next one reads. */
const stateOf = (made: Tensor2D, { size }: StackSite): Tensor2D =>
  made.shape[1] === size ? made : tf.slice(made, [0, 0], [-1, size]);

/** Whether nothing of an adapter stands in a block, and no parameter of one trains. */
function leavesBlocks({ attachments, parameters, description }: Adapter): boolean {
  for (const attached of attachments.values())
    if (attached.some(({ site }) => site.layer !== undefined)) return false;
  const blocks = blocksOfParameters(description);
  return [...parameters.values()].every(
    ({ origin, name, site }) =>
      origin !== 'unfrozen' || (site?.layer === undefined && !blocks.has(name)),
  );
}

const onStage = ({ owner }: InForce<'stack'>, { path }: StackSite): PeftError =>
  new PeftError(
    'PEFT_STAGE_UNSUPPORTED',
    `${path}: adapter "${owner.name}" runs beside all blocks, and only some of them are here.`,
    { hint: 'load the whole model on each rank, or choose another method' },
  );
