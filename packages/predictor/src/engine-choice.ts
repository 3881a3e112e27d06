/** Which engine computes: the one asked for, or the best that works here. */
import { check, PeftError } from '@peft/errors';
import type { Engine } from '@peft/ops';

export const ENGINE_NAMES = Object.freeze(['native', 'portable', 'tensorflow'] as const);
export type EngineName = (typeof ENGINE_NAMES)[number];

export interface EngineRequest {
  readonly name?: 'auto' | EngineName;
  /** Precision of the products; default the engine's own. */
  readonly precision?: 'float32' | 'bfloat16';
  /** Threads of the native engine. */
  readonly threads?: number;
}

export interface EngineChoice {
  /** Active. The caller disposes it. */
  readonly engine: Engine;
  /** What is not as one might expect, for one `run/warned`: a better engine was passed over, or a precision cannot be had. */
  readonly warning?: { readonly code: string; readonly message: string; readonly hint?: string };
}

type MakeEngine = (request: EngineRequest) => Promise<Engine>;
export type EngineMakers = Readonly<Partial<Record<EngineName, MakeEngine>>>;

/** Loaded when chosen, so that nobody pays for an engine that is not used. */
const MAKERS: EngineMakers = Object.freeze({
  native: async ({ precision, threads }: EngineRequest) => (await import('@peft/native')).createNativeEngine({ ...(precision && { precision }), ...(threads && { threads }) }),
  portable: async () => (await import('@peft/portable')).createPortableEngine(),
});

/**
 * Makes and activates an engine. `auto` takes the native one, or the portable one where the native addon cannot be loaded.
 * @param makers others than this toolkit's.
 * @throws PEFT_ENGINE_UNAVAILABLE when the engine asked for cannot run here, and why; PEFT_CONFIG_INVALID for its options
 */
export async function chooseEngine(request: EngineRequest = {}, makers: EngineMakers = MAKERS): Promise<EngineChoice> {
  const { name = 'auto' } = request;
  check.oneOf('engine', 'name', name, ['auto', ...ENGINE_NAMES]);
  if (name !== 'auto') return withPrecisionWarning(await make(name, request, makers), request);
  try {
    return { engine: await make('native', request, makers) };
  } catch (error) {
    if (!(error instanceof PeftError) || error.code !== 'PEFT_ENGINE_UNAVAILABLE') throw error;
    const engine = await make('portable', request, makers);
    const [reason] = ((error.cause as Error | undefined) ?? error).message.split('\n');
    return { engine, warning: { code: 'PEFT_ENGINE_FALLBACK', message: `the portable engine (float32) takes over, which is slower: ${reason}`, hint: 'build the native engine with: node tools/build-native.mjs (needs a C++20 compiler)' } };
  }
}

function withPrecisionWarning(engine: Engine, { precision }: EngineRequest): EngineChoice {
  if (precision === undefined || engine.precision === precision) return { engine };
  return { engine, warning: { code: 'PEFT_ENGINE_PRECISION', message: `the ${engine.name} engine computes in ${engine.precision}, ${precision} was asked for.`, hint: 'set env.precision to auto' } };
}

async function make(name: EngineName, request: EngineRequest, makers: EngineMakers): Promise<Engine> {
  const maker = makers[name];
  if (!maker) throw new PeftError('PEFT_ENGINE_UNAVAILABLE', `engine: ${name} is not part of this version, which has ${Object.keys(makers).join(', ')}.`, { hint: 'choose one of these with env.engine (CLI: --engine)' });
  let engine: Engine | undefined;
  try {
    engine = await maker(request);
    await engine.activate();
    return engine;
  } catch (cause) {
    engine?.dispose();
    if (cause instanceof PeftError && cause.code === 'PEFT_CONFIG_INVALID') throw cause;
    throw new PeftError('PEFT_ENGINE_UNAVAILABLE', `engine: ${name} cannot run here: ${(cause as Error).message}`, { hint: 'choose another with env.engine (CLI: --engine)', cause });
  }
}
