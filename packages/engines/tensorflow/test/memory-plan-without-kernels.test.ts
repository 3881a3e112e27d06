/** What the memory plan says of TensorFlow's own operations, which is what a GPU has. */
import { describeCountedRuns } from './describe-counted-runs.js';

describeCountedRuns('without kernels of our own', false);
