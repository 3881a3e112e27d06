/** One adapter: a method's parameters and what it put on each site of a model. */
import type { Tensor } from '@tensorflow/tfjs';
import type { FrozenWeight } from '@peft/ops';
import type { ModelDescription } from '../description/model-description.js';
import type { Site, SiteKind } from '../description/sites.js';
import { tiedEmbeddings } from '../description/tied-embeddings.js';
import { tiedOutputs } from '../description/tied-outputs.js';
import type { AdapterSource } from '../method/adapter-file.js';
import type {
  Companion,
  LookAhead,
  OwnedParameter,
  StepHook,
  StepMemory,
} from '../method/attach-context.js';
import type { Attached } from '../method/attachment.js';
import type { AdapterView, AttachedPart, MethodSpec } from '../method/peft-method.js';
import { MODULES_TO_SAVE } from './modules-to-save.js';

/** What an adapter made for its parameters, its sites and the steps of training. */
export class Adapter implements AdapterView {
  readonly parameters = new Map<string, OwnedParameter>();
  /** What stands on a site: `<kind> <path>` → outermost last. */
  readonly attachments = new Map<string, Attached[]>();
  /** Base weights that a method changed (PiSSA), by parameter name. */
  readonly replaced = new Map<string, FrozenWeight>();
  /** To be run after each optimiser step. */
  readonly stepHooks: StepHook[] = [];
  /** What the hooks remember between steps. */
  readonly stepMemories: StepMemory[] = [];
  /** Each added to the loss of a step. */
  readonly extraLosses: (() => Tensor)[] = [];
  /** The method that asked for one of the next two. */
  aheadFor: string | undefined;
  /** What it keeps of the pass ahead of each pass, where it asks for one. */
  lookAhead: LookAhead | undefined;
  /** The small model that runs before each pass, where it asks for one. */
  companion: Companion | undefined;
  /** One for each part of `spec`, in its order. */
  readonly parts: AttachedPart[] = [];
  /** State that the sites of a method share, by name. */
  readonly shared = new Map<string, unknown>();
  /** Names under which a file holds a shared parameter once more → that parameter's name. */
  readonly repeats = new Map<string, string>();
  /** Its parameters take part in training. */
  isTrainable = true;
  /** Where it was loaded from, to be written again as it was. */
  source: AdapterSource | undefined;

  constructor(
    readonly name: string,
    readonly spec: MethodSpec,
    readonly description: ModelDescription,
  ) {}

  /** Adapters on a site, innermost first. */
  at<K extends SiteKind>(kind: K, path: string): readonly Attached<K>[] {
    return (this.attachments.get(`${kind} ${path}`) ?? []) as Attached<K>[];
  }

  /** The trained copy of a base parameter, if the adapter has one. */
  unfrozen(parameterName: string): OwnedParameter | undefined {
    const found = this.parameters.get(parameterName);
    return found?.origin === 'unfrozen' ? found : undefined;
  }

  /** Whether a module saved whole stays one with the output layer that reads its table. */
  get tiesWeights(): boolean {
    return this.spec.parts.some(({ common }) => common.ensureWeightTying === true);
  }

  /**
   * Whether the trained copy of an embedding's table leaves the output layer and the embeddings
   * that read it as they were.
   */
  isEmbeddingOnly(parameterName: string): boolean {
    const readers = [
      ...tiedOutputs(this.description).map(({ output }) => output),
      ...tiedEmbeddings(this.description).map(({ reader }) => reader),
    ];
    return (
      this.unfrozen(parameterName)?.method === MODULES_TO_SAVE &&
      !this.tiesWeights &&
      readers.some(({ weight }) => weight === parameterName)
    );
  }

  /**
   * Positions of the model that it takes in front of each sequence: virtual tokens, or those that a
   * prefix pretends, which are the same in every layer.
   */
  get virtualTokens(): number {
    const taken = [...this.attachments.values()].flat().map(({ attachment }) => {
      if (attachment && 'prefix' in attachment) return attachment.tokens ?? 0;
      return attachment && 'pastLength' in attachment ? (attachment.pastLength ?? 0) : 0;
    });
    return Math.max(0, ...taken);
  }

  /** Sites that carry something of this adapter. */
  get wrappedSites(): Site[] {
    return [...new Set([...this.attachments.values()].flat().map(({ site }) => site))];
  }

  dispose(): void {
    for (const parameter of this.parameters.values()) parameter.dispose();
    for (const weight of this.replaced.values()) weight.dispose();
    this.parameters.clear();
    this.attachments.clear();
    this.replaced.clear();
  }
}
