"""From a dataset's folder to the Hub: checked, sent once, and moved into place in one commit."""

from llavamed_data.publish.collection import CollectionReport, publish_all
from llavamed_data.publish.dataset import publish
from llavamed_data.publish.plan import Change, Fate
from llavamed_data.publish.report import PublishReport

__all__ = ["Change", "CollectionReport", "Fate", "PublishReport", "publish", "publish_all"]
