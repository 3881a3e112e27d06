export { deft, type DeftConfig } from './deft.js';
export { delora, type DeloraConfig } from './delora.js';
export { glora, type GloraConfig } from './glora.js';
export { gralora, type GraloraConfig } from './gralora.js';
export { hira, type HiraConfig } from './hira.js';
export { lily, type LilyConfig } from './lily.js';
export { miss, type MissConfig } from './miss.js';
export { orthonormalColumns } from './orthonormal-columns.js';
export { peanut, type PeanutConfig } from './peanut.js';
