"""What the transport replaces inside botocore and Python, on the installed versions."""

import _socket
import socket

from botocore.httpsession import URLLib3Session
from botocore.session import Session

from fibonacci_dynamodb.client import _replace_transport
from fibonacci_dynamodb.transport import Transport


def test_transport_of_a_client_is_replaced():
    """botocore's client sends through ``_endpoint.http_session``, which is then our transport."""
    client = Session().create_client(
        "dynamodb", "eu-west-1", aws_access_key_id="id", aws_secret_access_key="key"
    )
    assert isinstance(client._endpoint.http_session, URLLib3Session)
    transport = Transport(lambda: "")
    _replace_transport(client, transport)
    assert client._endpoint.http_session is transport


def test_base_class_of_a_socket_closes_it():
    """``super(socket.socket, …).close`` closes the file descriptor: a socket has this base."""
    assert socket.socket.__bases__ == (_socket.socket,)
    with socket.socket() as opened:
        super(socket.socket, opened).close()
        assert opened.fileno() == -1
