/** Which engine computes: the one asked for, or the best that works here. */
import { PeftError } from '@peft/errors';
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
  /** Why a better engine was passed over, for one `run/warned`. */
  readonly warning?: { readonly code: string; readonly message: string; readonly hint?: string };
}

type MakeEngine = (request: EngineRequest) => Promise<Engine>;

/** Loaded when chosen, so that nobody pays for an engine that is not used. */
const MAKERS: Readonly<Record<'native' | 'portable', MakeEngine>> = Object.freeze({
  native: async ({ precision, threads }) => (await import('@peft/native')).createNativeEngine({ ...(precision && { precision }), ...(threads && { threads }) }),
  portable: async () => (await import('@peft/portable')).createPortableEngine(),
});

/**
 * Makes and activates an engine. `auto` takes the native one, or the portable one where the native addon cannot be loaded.
 * @throws PEFT_ENGINE_UNAVAILABLE when the engine asked for cannot run here, and why
 */
export async function chooseEngine(request: EngineRequest = {}): Promise<EngineChoice> {
  const { name = 'auto' } = request;
  if (name !== 'auto') return { engine: await make(name, request) };
  try {
    return { engine: await make('native', request) };
  } catch (error) {
    const cause = (error as Error).cause as Error | undefined;
    const engine = await make('portable', request);
    return { engine, warning: { code: 'PEFT_ENGINE_FALLBACK', message: `the portable engine takes over, which is slower: ${cause?.message ?? (error as Error).message}`, hint: 'build the native engine with: node tools/build-native.mjs (needs a C++20 compiler)' } };
  }
}

async function make(name: EngineName, request: EngineRequest): Promise<Engine> {
  const maker = MAKERS[name as keyof typeof MAKERS];
  if (!maker) throw new PeftError('PEFT_ENGINE_UNAVAILABLE', `engine: ${JSON.stringify(name)} is not one of ${Object.keys(MAKERS).join(', ')}.`);
  try {
    const engine = await maker(request);
    await engine.activate();
    return engine;
  } catch (cause) {
    throw new PeftError('PEFT_ENGINE_UNAVAILABLE', `engine: ${name} cannot run here: ${(cause as Error).message}`, { hint: 'choose another with env.engine (CLI: --engine)', cause });
  }
}
