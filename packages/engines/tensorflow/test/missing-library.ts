/** Why the tests of the engine cannot run here, or undefined. */
import { findInstallations } from '@peft/tensorflow';

export function missingLibrary(): string | undefined {
  const { found, problems } = findInstallations();
  return found.length > 0
    ? undefined
    : (problems[0] ?? 'no TensorFlow library is set up; run: peft setup tensorflow');
}
