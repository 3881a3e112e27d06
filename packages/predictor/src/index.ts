export { AUTOGLUON_FILTER, AUTOGLUON_METHODS, autogluonMethod, type AutogluonMethod, type AutogluonMethodOptions } from './autogluon-methods.js';
