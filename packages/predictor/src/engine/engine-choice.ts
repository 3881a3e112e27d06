/** Which engine computes: the one asked for, or the best that works here. */
import { existsSync } from 'node:fs';
import { didYouMean, PeftError } from '@peft/errors';
import type { Engine, KnownEngines } from '@peft/ops';

/** The engines of this toolkit. */
export const ENGINE_NAMES = Object.freeze(['native', 'portable', 'tensorflow', 'webgpu'] as const);
/**
 * An engine of this toolkit, or a third party's, whose package adds its name to `KnownEngines` of
 * `@peft/ops` and which `withEngines` makes known.
 */
export type EngineName = (typeof ENGINE_NAMES)[number] | Extract<keyof KnownEngines, string>;

/** What is asked of an engine. */
export interface EngineRequest {
  /** Default `auto`: the best that works here, of this toolkit's. */
  readonly name?: 'auto' | EngineName;
  /** Precision of the products; default the engine's own. */
  readonly precision?: 'float32' | 'bfloat16';
  /** Threads of the native and the tensorflow engine. */
  readonly threads?: number;
}

/** The engine that was taken, and why. */
export interface EngineChoice {
  /** Active. The caller disposes it. */
  readonly engine: Engine;
  /** Why this one, for people. */
  readonly reason: string;
  /**
   * What is not as one might expect, for one `run/warned`: a better engine was passed over, or a
   * precision cannot be had.
   */
  readonly warning?: { readonly code: string; readonly message: string; readonly hint?: string };
}

/** @param needsGpu the tensorflow engine fails without one that works. */
type MakeEngine = (request: EngineRequest, needsGpu?: boolean) => Promise<Engine>;
/** By name, how each engine is made. */
export type EngineMakers = Readonly<Record<string, MakeEngine | undefined>>;

/**
 * How this toolkit's engines are made. Each is loaded when chosen, so that nobody pays for one that
 * is not used.
 */
export const ENGINE_MAKERS: EngineMakers = Object.freeze({
  native: async ({ precision, threads }: EngineRequest) =>
    (await import('@peft/native')).createNativeEngine({
      precision,
      threads: threads || undefined,
    }),
  portable: async () => (await import('@peft/portable')).createPortableEngine(),
  tensorflow: async ({ precision, threads }: EngineRequest, needsGpu = false) =>
    (await import('@peft/tensorflow')).createTensorflowEngine({
      requireGpu: needsGpu,
      precision,
      threads: threads || undefined,
    }),
  webgpu: async (_request: EngineRequest, needsGpu = false) => {
    const engine = await (await import('@peft/webgpu')).createWebgpuEngine();
    if (!needsGpu || !engine.adapter.isSoftware) return engine;
    engine.dispose();
    throw new PeftError(
      'PEFT_WEBGPU_NO_ADAPTER',
      `webgpu: ${engine.adapter.name} computes on the processor.`,
    );
  },
});

/** Whether a card is here that this process may use, and a TensorFlow library that may use it. */
type GpuState = { readonly card: string; readonly hasLibrary: boolean } | undefined;

async function gpuState(): Promise<GpuState> {
  const { findInstallations, probeGpus, visibleGpus } = await import('@peft/tensorflow');
  const card = visibleGpus(probeGpus())[0];
  return card && { card: card.name, hasLibrary: findInstallations().found[0]?.build === 'cuda' };
}

/**
 * Whether WebGPU may find a graphics card. Its module complains on the terminal where there is no
 * driver at all, so it is not asked without one of Linux's device files.
 */
const mayHaveCard = (): boolean =>
  process.platform !== 'linux' ||
  ['/dev/dri', '/dev/nvidiactl', '/dev/dxg'].some((path) => existsSync(path));

/**
 * Makes and activates an engine. `auto` takes the tensorflow one where a GPU works with it, else
 * the WebGPU one where the package `webgpu` is installed and finds a graphics card, else the native
 * one, else the portable one.
 * @param makers others than this toolkit's.
 * @throws PEFT_ENGINE_UNAVAILABLE when the engine asked for cannot run here, and why;
 *   PEFT_CONFIG_INVALID for its options
 */
export async function chooseEngine(
  request: EngineRequest = {},
  makers: EngineMakers = ENGINE_MAKERS,
  findGpu: () => Promise<GpuState> = gpuState,
  asksWebgpu: () => boolean = mayHaveCard,
): Promise<EngineChoice> {
  const { name = 'auto' } = request;
  requireEngine(name, makers);
  if (name !== 'auto') return withPrecisionWarning(await make(name, request, makers), request);
  const gpu = makers.tensorflow && (await findGpu());
  const onGpu = gpu?.hasLibrary ? await attempt('tensorflow', request, makers, true) : undefined;
  if (onGpu && !('problem' in onGpu)) return { ...onGpu, reason: `${gpu!.card} works with it` };
  const onCard =
    makers.webgpu && asksWebgpu() ? await attempt('webgpu', request, makers, true) : undefined;
  if (onCard && !('problem' in onCard)) {
    const choice = withPrecisionWarning(onCard.engine, request);
    return { ...choice, reason: 'a graphics card works with WebGPU' };
  }
  const unused = gpu && {
    code: 'PEFT_ENGINE_GPU_UNUSED',
    message: `${gpu.card} is not used: ${onGpu?.problem ?? 'no TensorFlow library with CUDA is set up'}`,
    hint: 'peft setup tensorflow --device cuda sets one up; peft doctor says more',
  };
  const native = await attempt('native', request, makers);
  if (!('problem' in native))
    return {
      ...native,
      reason: gpu
        ? `the GPU ${gpu.card} cannot be used`
        : 'no GPU is here, and this is the fastest engine on a CPU',
      warning: unused,
    };
  const engine = await make('portable', request, makers);
  const warning = {
    code: 'PEFT_ENGINE_FALLBACK',
    message: `the portable engine (float32) takes over, which is slower: ${native.problem}`,
    hint:
      'compile the native engine (needs a C++20 compiler) with: npx peft-native-build, in a ' +
      'clone of the repository node tools/native/build-native.mjs',
  };
  return { engine, reason: `the native engine cannot run: ${native.problem}`, warning };
}

/**
 * That an engine is called so, before anything is loaded.
 * @throws PEFT_ENGINE_UNKNOWN with the nearest name
 */
export function requireEngine(name: string, makers: EngineMakers): void {
  const names = ['auto', ...new Set([...ENGINE_NAMES, ...Object.keys(makers)])];
  if (names.includes(name)) return;
  throw new PeftError(
    'PEFT_ENGINE_UNKNOWN',
    `engine: there is no engine ${JSON.stringify(name)}.`,
    {
      hint: (
        `${didYouMean(name, names)} Known: ${names.join(', ')}. A third party's is made ` +
        'known with withEngines (CLI: --plugin).'
      ).trim(),
    },
  );
}

/** The engine, or the first line of why it cannot run. Mistakes in the request are thrown. */
async function attempt(
  name: EngineName,
  request: EngineRequest,
  makers: EngineMakers,
  needsGpu = false,
): Promise<{ readonly engine: Engine } | { readonly problem: string }> {
  try {
    return { engine: await make(name, request, makers, needsGpu) };
  } catch (error) {
    if (!(error instanceof PeftError) || error.code !== 'PEFT_ENGINE_UNAVAILABLE') throw error;
    return { problem: ((error.cause as Error | undefined) ?? error).message.split('\n')[0]! };
  }
}

function withPrecisionWarning(engine: Engine, { precision }: EngineRequest): EngineChoice {
  const reason = 'it was asked for';
  if (precision === undefined || engine.precision === precision) return { engine, reason };
  return {
    engine,
    reason,
    warning: {
      code: 'PEFT_ENGINE_PRECISION',
      message: `the ${engine.name} engine computes in ${engine.precision}, ${precision} was asked for.`,
      hint: 'set env.precision to auto',
    },
  };
}

async function make(
  name: EngineName,
  request: EngineRequest,
  makers: EngineMakers,
  needsGpu = false,
): Promise<Engine> {
  const maker = makers[name];
  if (!maker)
    throw new PeftError(
      'PEFT_ENGINE_UNAVAILABLE',
      `engine: ${name} is not part of this version, which has ${Object.keys(makers).join(', ')}.`,
      { hint: 'choose one of these with env.engine (CLI: --engine)' },
    );
  let engine: Engine | undefined;
  try {
    engine = await maker(request, needsGpu);
    await engine.activate();
    return engine;
  } catch (cause) {
    engine?.dispose();
    if (cause instanceof PeftError && cause.code === 'PEFT_CONFIG_INVALID') throw cause;
    throw new PeftError(
      'PEFT_ENGINE_UNAVAILABLE',
      `engine: ${name} cannot run here: ${(cause as Error).message}`,
      { hint: 'choose another with env.engine (CLI: --engine)', cause },
    );
  }
}
