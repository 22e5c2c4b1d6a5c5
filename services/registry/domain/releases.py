"""Releases: what is served, named by the digest of all that shapes an answer."""

from dataclasses import replace
from typing import Final

from services.registry.domain.canonical import sha256
from services.registry.domain.policies import Provider
from services.registry.domain.values import (
    Application,
    Decoding,
    Engine,
    Model,
    Prompt,
    Release,
)

EXTERNAL: Final = "external"
"""Runtime of an engine that is somebody else's API."""


def release_of(application: Application, model: Model, prompt: Prompt | None = None) -> Release:
    """The release of ``model`` under ``application``'s prompt and decoding.

    The same model under the same application is the same release, whoever made it, when.
    Before prompts had versions, ``prompt`` was None and no part of the digest.
    """
    return _named(
        Release(
            application=application.name,
            model_digest=model.digest,
            engine=model.engine or Engine(),
            prompt_template=prompt.template if prompt else application.prompt_template,
            decoding=application.decoding,
            prompt=prompt,
        )
    )


def with_engine(release: Release, engine: Engine) -> Release:
    return _named(replace(release, engine=engine))


def with_provider(release: Release, provider: Provider) -> Release:
    """``release``'s prompt and decoding, answered by ``provider``; of no model of ours."""
    engine = Engine(digest=sha256(provider), runtime=EXTERNAL, provider=provider)
    return _named(replace(release, model_digest="", engine=engine))


def with_prompt(release: Release, prompt: Prompt) -> Release:
    return _named(replace(release, prompt_template=prompt.template, prompt=prompt))


def with_decoding(release: Release, decoding: Decoding) -> Release:
    return _named(replace(release, decoding=decoding))


def _named(release: Release) -> Release:
    return replace(release, digest=sha256(replace(release, digest="")))
