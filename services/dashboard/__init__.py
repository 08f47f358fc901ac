"""Templates and static files, and how they become pages; their routes are in `services.controller.pages`."""

from services.dashboard.rendering import STATIC, compile_templates, render

__all__ = ["STATIC", "compile_templates", "render"]
