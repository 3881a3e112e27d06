/** Fits a small predictor on a case's data, with all that it warns of. */
import { PeftPredictor, type FitSummary, type PredictorOptions } from '@peft/predictor';

export interface CaseFit {
  readonly summary: FitSummary;
  /** `CODE: message` of each warning. */
  readonly warnings: readonly string[];
  readonly predictor: PeftPredictor;
}

interface CaseFitOptions {
  readonly model: string;
  readonly method?: string;
  readonly path?: string;
  readonly hyperparameters?: Readonly<Record<string, unknown>>;
}

/** One epoch with LoRA on the portable engine. The caller disposes the predictor. */
export async function fitCase(
  data: string,
  options: PredictorOptions,
  { model, method = 'lora', path, hyperparameters = {} }: CaseFitOptions,
): Promise<CaseFit> {
  const warnings: string[] = [];
  const predictor = new PeftPredictor({ ...options, path });
  predictor.listen((event) => {
    if (event.type === 'run/warned') warnings.push(`${event.code}: ${event.message}`);
  });
  try {
    await predictor.fit(data, {
      tuningData: data,
      hyperparameters: {
        'model.hf_text.checkpoint_name': model,
        'optim.peft': method as 'lora', // fit refuses a name that it does not know
        'optim.max_epochs': 1,
        'env.engine': 'portable',
        ...hyperparameters,
      },
    });
  } catch (error) {
    predictor.dispose();
    throw error;
  }
  return { summary: predictor.fitSummary(), warnings, predictor };
}
