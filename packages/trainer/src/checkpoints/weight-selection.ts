/** Which weights the model keeps when a run ends: the last, the best, or a mean of the best. */
import type { RunContext } from '../run/run-context.js';
import { assignParameters, loadTrainables, restoreAllParameters } from './run-checkpoints.js';
import { forgetHookMemory } from '../step/step-hooks.js';
import { greedySoup, uniformSoup, type SoupResult } from './soup.js';
import { rankTop, type ScoredCheckpoint } from './top-checkpoints.js';

/** Which checkpoints the model's weights at the end are made of. */
export interface SelectedWeights {
  /** Steps of the checkpoints whose mean the model has; empty for the last weights. */
  readonly steps: readonly number[];
  /** Their score, where known. */
  readonly score?: number;
}

/**
 * Puts the selected weights into the model. Without a scored checkpoint it keeps the last ones.
 * @returns undefined when the run was aborted meanwhile; the model has the last weights then.
 */
export async function selectWeights(run: RunContext): Promise<SelectedWeights | undefined> {
  try {
    return await select(run);
  } catch (error) {
    if (!run.request.signal?.aborted) throw error;
    await restoreAllParameters(run, run.state.step);
    return undefined;
  }
}

async function select(run: RunContext): Promise<SelectedWeights> {
  const { options, store } = run;
  const { validation } = options;
  if (options.select === 'last' || !validation || !store) return { steps: [] };
  const ranked = await present(run, rankTop(run.state.top, validation.direction));
  if (ranked.length === 0) return { steps: [] };
  await restoreAllParameters(run, ranked[0]!.step);
  const soup = await chosenSoup(run, options.select === 'best' ? ranked.slice(0, 1) : ranked);
  assignParameters(run, soup.parameters);
  if (soup.steps.length > 1) forgetHookMemory(run.model);
  return { steps: soup.steps, score: soup.score };
}

function chosenSoup(run: RunContext, ranked: readonly ScoredCheckpoint[]): Promise<SoupResult> {
  const load = (step: number) => loadTrainables(run, step);
  const validation = run.options.validation!;
  if (run.options.select !== 'greedy-soup') return uniformSoup(ranked, load);
  return greedySoup(ranked, validation.direction, load, async (parameters) => {
    assignParameters(run, parameters);
    const { metrics } = await run.request.evaluate!(run.request.signal);
    const { metric, tieMetric } = validation;
    return {
      score: metrics[metric] ?? Number.NaN,
      tie: tieMetric === undefined ? undefined : metrics[tieMetric],
    };
  });
}

/** Those that are still in the store; somebody may have tidied the folder. */
async function present(
  run: RunContext,
  ranked: readonly ScoredCheckpoint[],
): Promise<ScoredCheckpoint[]> {
  const steps = new Set(await run.store!.steps());
  const missing = ranked.filter(({ step }) => !steps.has(step));
  if (missing.length)
    run.emit({
      type: 'run/warned',
      code: 'PEFT_CHECKPOINT_MISSING',
      message:
        `the checkpoints of steps ${missing.map(({ step }) => step).join(', ')} ` +
        'are no longer there; the rest is used.',
    });
  return ranked.filter(({ step }) => steps.has(step));
}
