/** Connects and says how it ended: a code with its sentences, or the number of ranks. */
import { connectMpi } from '../src/index.js';

const told = await connectMpi().then(
  async (mpi) => {
    await mpi.close();
    return String(mpi.size);
  },
  (error: { readonly code: string; readonly message: string }) => `${error.code} ${error.message}`,
);
process.stdout.write(`${told}\n`);
process.exit();
