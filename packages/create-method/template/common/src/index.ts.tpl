export { {{camel}}, type {{pascal}}Config } from './{{name}}.js';
