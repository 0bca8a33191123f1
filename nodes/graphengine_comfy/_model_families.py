"""Classes of ComfyUI's models that packs compare with: `isinstance(model.model, comfy.model_base.SDXL)`."""

from typing import Any

from graphengine.node.api import GraphEngineError
from graphengine_comfy._placeholders import public_name


# Any throughout: what packs compare, and what they give to classes that they derive.
class FamilyType(type):
    """The type of such classes. A model of ours is an instance of the class for its family.

    A class that a pack derives has its own instances only.
    """

    families: tuple[str, ...] | None

    def __instancecheck__(cls, instance: Any) -> bool:
        """Whether the instance is made of the class, or is a model of its family; no families are all."""
        if super().__instancecheck__(instance):
            return True
        stands_for_models = "families" in cls.__dict__
        if not stands_for_models or not type(instance).__module__.startswith("graphengine_nodes."):
            return False
        family = getattr(instance, "family", None)
        return family is not None and (cls.families is None or family in cls.families)


class ModuleType(type):
    """The type of classes that modules of diffusers are instances of, by the names of their classes."""

    modules: tuple[str, ...]

    def __instancecheck__(cls, instance: Any) -> bool:
        """Whether the instance is made of the class, or is a module of that kind."""
        if super().__instancecheck__(instance):
            return True
        kind = type(instance)
        return "modules" in cls.__dict__ and kind.__name__ in cls.modules


def module_class(module: str, name: str, modules: tuple[str, ...]) -> ModuleType:
    """A class that modules can be compared with; making one raises an error that names it."""

    def refuse(self: Any, *args: Any, **options: Any) -> None:
        """There is no such class here.

        Raises:
            GraphEngineError: always.
        """
        raise GraphEngineError(
            f"{public_name(module)}.{name} of ComfyUI only stands for modules of diffusers in graphengine",
            hint="nodes that build networks of their own from it cannot run",
        )

    members = {
        "modules": modules,
        "__init__": refuse,
        "forward": refuse,  # packs wrap it when they are imported, and find out only when it should run
        "__module__": module,
        "__doc__": f"Modules like {name}.",
    }
    return ModuleType(name, (), members)


def family_class(module: str, name: str, families: tuple[str, ...] | None, *bases: type) -> FamilyType:
    """A class that can be compared with and derived from; making one raises an error that names it."""

    def refuse(self: Any, *args: Any, **options: Any) -> None:
        """There is no such class here.

        Raises:
            GraphEngineError: always.
        """
        raise GraphEngineError(
            f"{public_name(module)}.{name} of ComfyUI only stands for a family of models in graphengine",
            hint="nodes that build models of their own from it cannot run",
        )

    members = {"families": families, "__init__": refuse, "__module__": module, "__doc__": f"Models of {name}."}
    return FamilyType(name, bases, members)
