export { connectMpi, type MpiRanks } from './connect-mpi.js';
export { launchOf, type Launch } from './launcher.js';
export { measureLinks, type LinkSpeed } from './measure-link.js';
export { startMpirun, type MpirunOptions } from './mpirun.js';
