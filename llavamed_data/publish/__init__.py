"""Publishing datasets on the Hub: each is validated, sent once, and appears in one commit."""

from llavamed_data.publish.collection import publish_all
from llavamed_data.publish.dataset import publish
from llavamed_data.publish.report import CollectionReport, PublishReport
from llavamed_data.publish.upload import FileChange, FileStatus

__all__ = ["CollectionReport", "FileChange", "FileStatus", "PublishReport", "publish", "publish_all"]
