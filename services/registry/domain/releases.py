"""Releases: what is served, named by the digest of all that shapes an answer."""

from dataclasses import replace

from services.registry.domain.canonical import sha256
from services.registry.domain.values import Application, Engine, Model, Release


def release_of(application: Application, model: Model) -> Release:
    """The release of ``model`` under ``application``'s prompt template and decoding.

    The same model under the same application is the same release, whoever made it, when.
    """
    unnamed = Release(
        digest="",
        application=application.name,
        model_digest=model.digest,
        engine=model.engine or Engine(),
        prompt_template=application.prompt_template,
        decoding=application.decoding,
    )
    return replace(unnamed, digest=sha256(unnamed))
