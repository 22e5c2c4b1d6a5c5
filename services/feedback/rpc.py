"""FeedbackService over gRPC."""

from dataclasses import dataclass

import grpc

from libs.rpc import auth
from protos.feedback.v1 import feedback_service_pb2_grpc
from protos.feedback.v1.feedback_service_pb2 import GiveRequest, GiveResponse
from services.feedback.handlers import GiveFeedback

SERVICE = "perennial.feedback.v1.FeedbackService"


@dataclass(frozen=True, slots=True)
class FeedbackRpc(feedback_service_pb2_grpc.FeedbackServiceServicer):
    give: GiveFeedback

    async def Give(  # noqa: N802  # the contract's name
        self,
        request: GiveRequest,
        context: grpc.aio.ServicerContext[GiveRequest, GiveResponse],
    ) -> GiveResponse:
        secret = auth.bearer(context.invocation_metadata())
        key = auth.digest(secret) if secret else None
        return GiveResponse(feedback_id=await self.give(request, key))

    def register(self, server: grpc.aio.Server) -> None:
        feedback_service_pb2_grpc.add_FeedbackServiceServicer_to_server(self, server)
