"""Messages of Chakra's execution traces.

They follow the published schema, ``schema/protobuf/et_def.proto`` of github.com/mlcommons/chakra, whose traces say of
themselves that they are of version 0.0.4. Only the fields that paraSim writes are declared here, with the numbers and
types that they have there; readers find the others empty. So no code has to be generated, and nothing but `protobuf` be
installed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

VERSION = "0.0.4"
COMPUTES, SENDS, RECEIVES = 4, 5, 6
"""Types of nodes: ``COMP_NODE``, ``COMM_SEND_NODE``, ``COMM_RECV_NODE``."""

_PACKAGE = "ChakraProtoMsg"
_FIELD = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "string": _FIELD.TYPE_STRING,
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
    "uint64": _FIELD.TYPE_UINT64,
    "bool": _FIELD.TYPE_BOOL,
    "NodeType": _FIELD.TYPE_ENUM,
    "AttributeProto": _FIELD.TYPE_MESSAGE,
}


class _Field(NamedTuple):
    name: str
    number: int
    type: str
    repeated: bool = False
    # One of several values of which a message has one.
    choice: bool = False


_NODE_TYPES = {"INVALID_NODE": 0, "COMP_NODE": COMPUTES, "COMM_SEND_NODE": SENDS, "COMM_RECV_NODE": RECEIVES}
_MESSAGES = {
    "AttributeProto": (
        _Field("name", 1, "string"),
        _Field("int32_val", 7, "int32", choice=True),
        _Field("int64_val", 9, "int64", choice=True),
        _Field("bool_val", 27, "bool", choice=True),
        _Field("string_val", 29, "string", choice=True),
    ),
    "GlobalMetadata": (_Field("version", 1, "string"), _Field("attr", 2, "AttributeProto", repeated=True)),
    "Node": (
        _Field("id", 1, "uint64"),
        _Field("name", 2, "string"),
        _Field("type", 3, "NodeType"),
        _Field("data_deps", 5, "uint64", repeated=True),
        _Field("start_time_micros", 6, "uint64"),
        _Field("duration_micros", 7, "uint64"),
        _Field("attr", 10, "AttributeProto", repeated=True),
    ),
}


def _classes() -> tuple[Any, ...]:
    """Make a class of each message."""
    file = descriptor_pb2.FileDescriptorProto(name="parasim/et_def.proto", package=_PACKAGE, syntax="proto3")
    node_types = file.enum_type.add(name="NodeType")
    for name, number in _NODE_TYPES.items():
        node_types.value.add(name=name, number=number)
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if any(field.choice for field in fields):
            message.oneof_decl.add(name="value")
        for field in fields:
            label = _FIELD.LABEL_REPEATED if field.repeated else _FIELD.LABEL_OPTIONAL
            made = message.field.add(name=field.name, number=field.number, type=_TYPES[field.type], label=label)
            if field.type in ("NodeType", "AttributeProto"):
                made.type_name = f".{_PACKAGE}.{field.type}"
            if field.choice:
                made.oneof_index = 0
    # A pool of its own: another library may have the whole schema in the usual one.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return tuple(
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    )


Attribute, GlobalMetadata, Node = _classes()
