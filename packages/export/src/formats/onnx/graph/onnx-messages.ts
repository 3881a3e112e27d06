/** A graph as the messages of `onnx.proto3`. */
import { create, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType as Type,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation as Location,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
  type AttributeProto,
  type NodeProto,
  type ValueInfoProto,
} from 'onnx-buf';
import {
  ELEMENT_TYPES,
  MICROSOFT_DOMAIN,
  type Attribute,
  type FinishedGraph,
  type Initializer,
  type OnnxNode,
  type Port,
} from './onnx-graph.js';

/** Operators as ONNX 1.12 has them, which every ONNX Runtime since 2022 runs. */
const OPERATOR_SET = 17n;
const IR_VERSION = 8n;

/** Where an initializer's bytes lie, in a file of their own. */
export interface ExternalPlace {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

/** The model without its graph. */
export const modelHead = (): Uint8Array =>
  toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: IR_VERSION,
      producerName: 'peft',
      opsetImport: [
        create(OperatorSetIdProtoSchema, { domain: '', version: OPERATOR_SET }),
        create(OperatorSetIdProtoSchema, { domain: MICROSOFT_DOMAIN, version: 1n }),
      ],
    }),
  );

/** The graph without its initializers. */
export const graphHead = ({ nodes, inputs, outputs }: FinishedGraph): Uint8Array =>
  toBinary(
    GraphProtoSchema,
    create(GraphProtoSchema, {
      name: 'model',
      node: nodes.map(nodeMessage),
      input: inputs.map(portMessage),
      output: outputs.map(portMessage),
    }),
  );

/** An initializer without its bytes. @param place where they lie, if not behind it */
export const tensorHead = (
  { name, type, shape }: Initializer,
  place: ExternalPlace | undefined,
): Uint8Array =>
  toBinary(
    TensorProtoSchema,
    create(TensorProtoSchema, {
      name,
      dataType: ELEMENT_TYPES[type],
      dims: shape.map(BigInt),
      dataLocation: place ? Location.EXTERNAL : Location.DEFAULT,
      externalData: place
        ? [
            ['location', place.file],
            ['offset', String(place.offset)],
            ['length', String(place.length)],
          ].map(([key, value]) => create(StringStringEntryProtoSchema, { key, value }))
        : [],
    }),
  );

function nodeMessage({ operator, domain, inputs, outputs, attributes }: OnnxNode): NodeProto {
  return create(NodeProtoSchema, {
    name: outputs[0],
    opType: operator,
    domain,
    input: [...inputs],
    output: [...outputs],
    attribute: Object.entries(attributes).map(([name, value]) => attributeMessage(name, value)),
  });
}

function attributeMessage(name: string, value: Attribute): AttributeProto {
  if (typeof value === 'number')
    return create(AttributeProtoSchema, { name, type: Type.INT, i: BigInt(value) });
  if (typeof value === 'string')
    return create(AttributeProtoSchema, {
      name,
      type: Type.STRING,
      s: Uint8Array.from(Buffer.from(value)),
    });
  if ('float' in value)
    return create(AttributeProtoSchema, { name, type: Type.FLOAT, f: value.float });
  return create(AttributeProtoSchema, { name, type: Type.INTS, ints: value.map(BigInt) });
}

const portMessage = ({ name, type, shape }: Port): ValueInfoProto =>
  create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, {
      value: {
        case: 'tensorType',
        value: create(TypeProto_TensorSchema, {
          elemType: ELEMENT_TYPES[type],
          shape: create(TensorShapeProtoSchema, {
            dim: shape.map((size) =>
              create(TensorShapeProto_DimensionSchema, {
                value:
                  typeof size === 'number'
                    ? { case: 'dimValue', value: BigInt(size) }
                    : { case: 'dimParam', value: size },
              }),
            ),
          }),
        }),
      },
    }),
  });
